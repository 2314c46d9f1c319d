//! A simulated n8n, VAPI, calendar and CRM on loopback.
