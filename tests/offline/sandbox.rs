//! The sandbox answers as the systems it stands for were seen to answer.

mod bench;
mod durability;
mod faults;
mod n8n;
mod others;
