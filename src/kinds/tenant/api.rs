//! Tenant: whose assistants these are, who may do what in its namespace, and the namespace itself.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::condition::Condition;
use crate::model::decision::{Act, Offer};
use crate::model::journal::TakenDecision;
use crate::model::name::DnsLabel;
use crate::model::record::ChainHead;
use crate::model::resource::{Resource, ours};

/// The resource.
pub static TENANT: Resource = ours("Tenant", "tenants", false);
/// Label by which a namespace consents to a tenant: its value is the tenant's name.
pub const TENANT_LABEL: &str = "mandate.dev/tenant";

/// ClusterRole of a tenant's owners and admins.
pub const ADMIN_ROLE: &str = "mandate-tenant-admin";
/// ClusterRole of a tenant's viewers.
pub const VIEWER_ROLE: &str = "mandate-tenant-viewer";
/// ClusterRole of a tenant's consumers.
pub const CONSUMER_ROLE: &str = "mandate-tenant-consumer";
/// Kinds of RBAC subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubjectKind {
    /// A user, as authentication names it.
    User,
    /// A group.
    Group,
    /// A service account; `namespace` is required.
    ServiceAccount,
}

/// One RBAC subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "(self.kind == 'ServiceAccount') == has(self.__namespace__)", "message": "namespace is for ServiceAccount, and required there"}]))]
pub struct RbacSubject {
    /// Kind of subject.
    pub kind: SubjectKind,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
}

/// Most objects of the kinds that a tenant's users create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quotas {
    /// AssistantDeployments. Example: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub assistant_deployments: Option<u32>,
    /// OperatorDecisions. Example: 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub operator_decisions: Option<u32>,
}

/// What is wanted of a tenant.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(group = "mandate.dev", version = "v1alpha1", kind = "Tenant", plural = "tenants", status = "TenantStatus", category = "mandate")]
#[kube(printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#)]
#[kube(printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#)]
#[kube(printcolumn = r#"{"name":"Namespace","type":"string","jsonPath":".spec.namespace"}"#)]
#[kube(printcolumn = r#"{"name":"Message","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message","priority":1}"#)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.__namespace__) == has(oldSelf.__namespace__) && (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)", "message": "namespace is immutable", "reason": "FieldValueForbidden", "fieldPath": ".namespace"},
]))]
pub struct TenantSpec {
    /// May do everything in the tenant's namespace that its admins may, and are named as owners.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub owners: Vec<RbacSubject>,
    /// Run the tenant's service runs and contracts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub admins: Vec<RbacSubject>,
    /// Read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub viewers: Vec<RbacSubject>,
    /// Read issued contracts over HTTP, and nothing else.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub consumers: Vec<RbacSubject>,
    /// Namespace of the tenant; immutable; default: the tenant's name. Example: acme-dental.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<DnsLabel>,
    /// Quotas on what its users create; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quotas: Option<Quotas>,
    /// Who decides must not be who submitted; the tenant's own release takes two operators. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub four_eyes: bool,
    /// No new provisioning starts; what lives goes on. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspended: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What is observed of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// Conditions; `Ready` is the summary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Generation that the rest was computed from; -1 before the first.
    #[serde(default)]
    pub observed_generation: i64,
    /// UID of the namespace that consented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36))]
    pub namespace_uid: Option<String>,
    /// What a person may decide now: while it is being deleted, its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Offer>,
    /// The audit chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainHead>,
    /// Decisions: the only part that is not computed.
    #[serde(default, skip_serializing_if = "TenantJournal::is_empty")]
    pub journal: TenantJournal,
}

/// The source part of the status. A tenant calls nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantJournal {
    /// Decisions acted upon, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub decisions: Vec<TakenDecision>,
}

impl TenantJournal {
    fn is_empty(&self) -> bool {
        self.decisions.is_empty()
    }

    /// The first decision on a release. Under four eyes it proposes the release and does nothing more: it is what the second
    /// operator decides on, since nobody is on record for having asked for the deletion.
    #[must_use]
    pub fn proposal(&self) -> Option<&TakenDecision> {
        self.decisions.iter().find(|taken| taken.act == Act::Release)
    }

    /// The decision that released it: under four eyes that of another operator than proposed it.
    #[must_use]
    pub fn release(&self, four_eyes: bool) -> Option<&TakenDecision> {
        let first = self.proposal()?;
        let another = |taken: &&TakenDecision| taken.act == Act::Release && taken.operator != first.operator;
        if four_eyes { self.decisions.iter().find(another) } else { Some(first) }
    }
}

impl Tenant {
    /// Name of its namespace.
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        self.spec.namespace.as_ref().map_or(self.metadata.name.as_deref().unwrap_or_default(), DnsLabel::as_str)
    }
}
