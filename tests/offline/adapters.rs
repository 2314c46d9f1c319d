//! Adapters against the sandbox in virtual time, and the transport against real sockets.

mod calls;
mod common_faults;
mod crashes;
mod fault_list;
mod limits;
mod n8n_clone;
mod n8n_publish;
mod n8n_template;
mod other_systems;
mod rig;
mod secrets;
mod sockets;
