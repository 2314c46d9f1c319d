//! What a tenant's decision needs to know.

use super::api::{TENANT_LABEL, Tenant};
use super::children;
use crate::engine::port::{Read, WorldError};
use crate::model::object::{OWNER_UID, ObjectKey};
use crate::model::resource::NAMESPACE;

/// Facts.
#[derive(Debug)]
pub struct Facts {
    /// The namespace, if it exists.
    pub namespace: Option<NamespaceFact>,
    /// Objects of others that hold the names of what the tenant needs in its namespace.
    pub taken: Vec<ObjectKey>,
}

/// What is known of the namespace.
#[derive(Debug)]
pub struct NamespaceFact {
    /// Its UID.
    pub uid: String,
    /// The tenant that it consents to.
    pub consents_to: Option<String>,
    /// Whether it is being deleted.
    pub going: bool,
}

/// Gathers the facts.
pub async fn gather(tenant: &Tenant, read: &dyn Read) -> Result<Facts, WorldError> {
    let namespace = read.get(&ObjectKey::new(&NAMESPACE, "", tenant.namespace_name())).await?.map(|object| NamespaceFact {
        uid: object.uid().to_owned(),
        consents_to: object.label(TENANT_LABEL).map(str::to_owned),
        going: object.is_going(),
    });
    let mut taken = Vec::new();
    for child in children::inside(tenant) {
        let key = child.object.key();
        if read.get(&key).await?.is_some_and(|found| found.label(OWNER_UID) != tenant.metadata.uid.as_deref()) {
            taken.push(key);
        }
    }
    Ok(Facts { namespace, taken })
}
