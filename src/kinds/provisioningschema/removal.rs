//! Rules about taking back and switching what is declared: an operator may order a rollback at any time, and the schema is
//! the only place that says how a CRM's resource is removed.

use super::api::ProvisioningSchemaSpec;
use crate::model::finding::Finding;

const RESOURCE: &str = "/spec/integrations/crm/resource";

/// What is created can be found by its id and removed.
pub(super) fn possible(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let Some(crm) = &spec.integrations.crm else { return Vec::new() };
    let resource = &crm.resource;
    let mut findings = Vec::new();
    match &resource.remove {
        None => {
            let message = "spec.integrations.crm.resource has no remove: what it creates could not be rolled back; declare the request that \
                           deletes it, with {id} in its path";
            findings.push(Finding::error("RemovalMissing", message).at(RESOURCE));
        }
        Some(remove) if !remove.path.contains("{id}") && !remove.path.contains("{key}") => {
            let message = format!("remove.path {} names neither {{id}} nor {{key}}: it would remove something else", remove.path);
            findings.push(Finding::error("RemovalMissing", message).at(format!("{RESOURCE}/remove/path")));
        }
        Some(_) => {}
    }
    if !resource.id_pointer.starts_with('/') {
        let beside = if resource.lookup.is_some() { "a found item" } else { "a lookup, which is missing too" };
        let message = format!(
            "idPointer {:?} is no JSON pointer: neither the reply to the creation nor {beside} tells the id, and what was created could \
             not be rolled back; write it with a leading /",
            resource.id_pointer
        );
        findings.push(Finding::error("RemovalMissing", message).at(format!("{RESOURCE}/idPointer")));
    }
    findings
}

/// An update registers its integrations switched off where the vendor can.
pub(super) fn switchable(spec: &ProvisioningSchemaSpec) -> Vec<Finding> {
    let Some(crm) = &spec.integrations.crm else { return Vec::new() };
    let finding = match (&crm.resource.enable, &crm.resource.disable) {
        (Some(_), Some(_)) => return Vec::new(),
        (None, Some(_)) => Finding::error(
            "SwitchIncomplete",
            "spec.integrations.crm.resource has disable and no enable: an update would switch it off and could never switch it on; declare both",
        ),
        (Some(_) | None, None) => Finding::info(
            "SwitchMissing",
            "spec.integrations.crm.resource has no disable: an update registers it enabled, and until the cutover the CRM tells both assistants",
        ),
    };
    vec![finding.at(RESOURCE)]
}
