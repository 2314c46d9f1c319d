//! Registry.
pub mod assistantdeployment;
pub mod auditrecord;
pub mod operatordecision;
pub mod provider;
pub mod provisioningrequest;
pub mod provisioningschema;
pub mod tenant;
