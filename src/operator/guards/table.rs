//! The guards, each once: which writes of which resources, and what must hold of them in CEL and in Rust.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Asked, Write};
use crate::kinds::assistantdeployment::api::DEPLOYMENT;
use crate::kinds::auditrecord::api::RECORD;
use crate::kinds::crd::{self, Defined};
use crate::kinds::operatordecision::api::DECISION;
use crate::kinds::provisioningrequest::api::REQUEST;
use crate::model::object::{FINALIZER, HOLDS_RECORDS, Object};
use crate::model::pointer;
use crate::model::resource::{GROUP, NAMESPACE, Resource};

/// Group whose members delete records when there is no other way; reached by impersonation, held by nobody.
pub const BREAK_GLASS: &str = "mandate.dev:break-glass";
/// Delete the contents of a namespace that is going: with an account of its own, and where all controllers share one.
pub(super) const NAMESPACE_CONTROLLERS: [&str; 2] =
    ["system:serviceaccount:kube-system:namespace-controller", "system:kube-controller-manager"];
/// Deletes what lost its owners.
pub(super) const GARBAGE_COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// Resources that only the controller creates.
pub(super) const MADE_BY_CONTROLLER: [&Resource; 2] = [&RECORD, &REQUEST];
/// Resources that are kept for ever.
pub(super) const RECORDS: [&Resource; 2] = [&RECORD, &DECISION];
/// Resources whose objects say in whose name they were made.
pub(super) const NAMING_AN_OPERATOR: [&Resource; 2] = [&DEPLOYMENT, &DECISION];
/// What the names of service accounts and nodes begin with: they answer for nothing.
const MACHINES: [&str; 2] = ["system:serviceaccount:", "system:node:"];
/// Resources of others that records depend on: where they live, and what says how they are stored.
pub(super) const OF_OTHERS: [&Resource; 2] = [&NAMESPACE, &DEFINITION];
/// CustomResourceDefinitions.
pub(super) static DEFINITION: Resource = Resource {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    namespaced: false,
};
/// Label of a namespace that holds records.
const MARKED: (&str, &str) = (HOLDS_RECORDS, "true");
/// Field of a deployment that may be changed without answering for the rest.
const STOPS_ONLY: &str = "suspend";

/// A rule about who may write what.
pub(super) struct Guard {
    /// What it is called in tests and documents.
    pub name: &'static str,
    /// Resources that it covers.
    pub resources: Vec<&'static Resource>,
    /// Writes that it covers.
    pub writes: &'static [Write],
    /// Only objects that carry this label with this value, before or after. The same for all guards of a resource.
    pub selector: Option<(&'static str, &'static str)>,
    /// A variable of its own in CEL: name and expression.
    pub variable: Option<(&'static str, String)>,
    /// What must hold, in order: the first that does not speaks.
    pub checks: Vec<Check>,
}

impl Guard {
    /// Whether the guard is about this object, as it is stored or as it would be.
    pub(super) fn selects(&self, old: Option<&Object>, new: Option<&Object>) -> bool {
        let carries = |(label, value)| [old, new].into_iter().flatten().any(|object| object.label(label) == Some(value));
        self.selector.is_none_or(carries)
    }
}

/// One thing that must hold, said twice.
pub(super) struct Check {
    /// What must hold, in CEL. May use the variables of `manifest`.
    pub holds: String,
    /// The refusal, in CEL; the authorizer is not at hand there.
    pub message: String,
    /// The refusal, unless it holds: the same in Rust.
    pub refusal: fn(&Asked<'_>) -> Option<String>,
}

impl Check {
    fn new(holds: impl Into<String>, message: impl Into<String>, refusal: fn(&Asked<'_>) -> Option<String>) -> Self {
        Self { holds: holds.into(), message: message.into(), refusal }
    }
}

/// All guards, in the order in which they speak.
pub(super) fn all() -> Vec<Guard> {
    let defined = crd::all();
    vec![
        status_by_controller(defined),
        made_by_controller(),
        records_kept(),
        records_unowned(),
        spec_frozen(defined),
        finalizer_by_controller(defined),
        decision_by_its_operator(),
        deployment_by_its_operator(defined),
        namespace_kept(),
        namespace_marked(),
        namespace_finalized(),
        definition_kept(),
    ]
}

/// Nobody acts by writing a status.
fn status_by_controller(defined: &[Defined]) -> Guard {
    let has_status = |defined: &&Defined| defined.crd.pointer("/spec/versions/0/subresources/status").is_some();
    Guard {
        name: "status-by-controller",
        resources: defined.iter().filter(has_status).map(|defined| defined.resource).collect(),
        writes: &[Write::UpdateStatus],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            "variables.isController",
            "variables.caller + ' may not update the status of ' + variables.plural + ': the controller does'",
            |asked| {
                let (caller, plural) = (asked.caller(), asked.plural());
                (!asked.by_controller()).then(|| format!("{caller} may not update the status of {plural}: the controller does"))
            },
        )],
    }
}

/// What the controller states is not forged.
fn made_by_controller() -> Guard {
    Guard {
        name: "made-by-controller",
        resources: MADE_BY_CONTROLLER.to_vec(),
        writes: &[Write::Create],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            "variables.isController",
            "variables.caller + ' may not create ' + variables.plural + ': the controller does'",
            |asked| {
                let (caller, plural) = (asked.caller(), asked.plural());
                (!asked.by_controller()).then(|| format!("{caller} may not create {plural}: the controller does"))
            },
        )],
    }
}

/// Records outlive everything but their namespace.
fn records_kept() -> Guard {
    let going = "namespaceObject != null && has(namespaceObject.metadata.deletionTimestamp)";
    let controllers = namespace_controllers();
    Guard {
        name: "records-kept",
        resources: RECORDS.to_vec(),
        writes: &[Write::Delete],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            format!("(variables.caller in {controllers} && {going}) || {}", in_glass_breakers()),
            format!("variables.plural + ' are records: ' + variables.caller + ' may not delete them (group {BREAK_GLASS} may)'"),
            |asked| {
                let by_namespace = NAMESPACE_CONTROLLERS.contains(&asked.caller()) && asked.request.namespace.is_some_and(Object::is_going);
                let allowed = by_namespace || asked.is_member(BREAK_GLASS);
                let (plural, caller) = (asked.plural(), asked.caller());
                (!allowed).then(|| format!("{plural} are records: {caller} may not delete them (group {BREAK_GLASS} may)"))
            },
        )],
    }
}

/// An owner that goes, or never was, takes its dependents along. References may go: an owner deleted with its dependents
/// orphaned waits for that.
fn records_unowned() -> Guard {
    Guard {
        name: "records-unowned",
        resources: RECORDS.to_vec(),
        writes: &[Write::Create, Write::Update],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            "object.metadata.?ownerReferences.orValue([]).all(now, oldObject != null && \
             oldObject.metadata.?ownerReferences.orValue([]).exists(before, before == now))",
            "variables.plural + ' take no ownerReferences: the garbage collector would delete the record'",
            |asked| {
                let (before, after) = asked.before_and_after(owners);
                let plural = asked.plural();
                (!after.iter().all(|owner| before.contains(owner)))
                    .then(|| format!("{plural} take no ownerReferences: the garbage collector would delete the record"))
            },
        )],
    }
}

/// The CRD's own rule compares as the schema's types do, and leaves some changes of the stored text unseen.
fn spec_frozen(defined: &[Defined]) -> Guard {
    Guard {
        name: "spec-frozen",
        resources: defined.iter().filter(|defined| is_frozen(defined)).map(|defined| defined.resource).collect(),
        writes: &[Write::Update],
        selector: None,
        variable: None,
        checks: vec![Check::new("object.spec == oldObject.spec", "'the spec of ' + variables.plural + ' never changes'", |asked| {
            let (before, after) = asked.before_and_after(|object| object.body.get("spec"));
            (before != after).then(|| format!("the spec of {} never changes", asked.plural()))
        })],
    }
}

/// While the finalizer stands, what is outside is not forgotten.
fn finalizer_by_controller(defined: &[Defined]) -> Guard {
    let has = |object: &str| format!("'{FINALIZER}' in {object}.metadata.?finalizers.orValue([])");
    Guard {
        name: "finalizer-by-controller",
        resources: defined.iter().map(|defined| defined.resource).collect(),
        writes: &[Write::Update],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            format!("variables.isController || !({}) || {}", has("oldObject"), has("object")),
            format!("'finalizer {FINALIZER} is removed by the controller only, not by ' + variables.caller"),
            |asked| {
                let (had, has) = asked.before_and_after(|object| object.finalizers().contains(&FINALIZER));
                let caller = asked.caller();
                (had && !has && !asked.by_controller())
                    .then(|| format!("finalizer {FINALIZER} is removed by the controller only, not by {caller}"))
            },
        )],
    }
}

/// A decision says who decided, and that person may.
fn decision_by_its_operator() -> Guard {
    let act = Check::new(
        may("object.spec.act.lowerAscii()"),
        format!(
            "variables.caller + ' may not ' + object.spec.act.lowerAscii() + ' (needs verb ' + object.spec.act.lowerAscii() \
             + ' on ' + variables.plural + '.{GROUP})'"
        ),
        |asked| {
            let act = asked.text("/spec/act").to_ascii_lowercase();
            (!asked.may(&act)).then(|| format!("{} may not {act} {}", asked.caller(), asked.needs(&act)))
        },
    );
    let [person, direct, relay] = in_whose_name("", [no_person, in_anothers_name, not_relayed]);
    Guard {
        name: "decision-identity",
        resources: vec![&DECISION],
        writes: &[Write::Create],
        selector: None,
        variable: None,
        checks: vec![person, act, direct, relay],
    }
}

/// A deployment says who asks for it as it is: whoever changes it answers for it, unless it is only suspended.
fn deployment_by_its_operator(defined: &[Defined]) -> Guard {
    let fields = answered_for(defined);
    let same = fields.iter().map(|field| format!("object.spec.?{field} == oldObject.spec.?{field}")).collect::<Vec<_>>().join(" && ");
    let checks = in_whose_name(
        "variables.isUnchanged || ",
        [
            |asked| is_changed(asked).then(|| no_person(asked)).flatten(),
            |asked| is_changed(asked).then(|| in_anothers_name(asked)).flatten(),
            |asked| is_changed(asked).then(|| not_relayed(asked)).flatten(),
        ],
    );
    Guard {
        name: "deployment-identity",
        resources: vec![&DEPLOYMENT],
        writes: &[Write::Create, Write::Update],
        selector: None,
        variable: Some(("isUnchanged", format!("oldObject != null && {same}"))),
        checks: checks.into(),
    }
}

/// The checks of a name: that it is a person's, that it is the caller's own, that the caller may relay. `unless` is what
/// excuses from them in CEL; the functions say so themselves.
fn in_whose_name(unless: &str, refusals: [fn(&Asked<'_>) -> Option<String>; 3]) -> [Check; 3] {
    let [person, direct, relay] = refusals;
    let machine = |prefix: &str| format!("object.spec.operator.trim().startsWith('{prefix}')");
    let [account, node] = MACHINES.map(machine);
    [
        Check::new(format!("{unless}!({account} || {node})"), "'spec.operator ' + object.spec.operator + ' is no person'", person),
        Check::new(
            format!("{unless}object.spec.via != 'Direct' || object.spec.operator == variables.caller"),
            "'spec.operator is ' + object.spec.operator + ' but the request is from ' + variables.caller + ': say via: Relay'",
            direct,
        ),
        Check::new(
            format!("{unless}object.spec.via != 'Relay' || {}", may("'relay'")),
            format!(
                "variables.caller + ' may not relay for ' + object.spec.operator + ' (needs verb relay on ' + variables.plural + '.{GROUP})'"
            ),
            relay,
        ),
    ]
}

/// Whether the caller may do a synthetic verb, in CEL. `*` includes it.
fn may(verb: &str) -> String {
    format!("authorizer.group('{GROUP}').resource(variables.plural).namespace(request.namespace).check({verb}).allowed()")
}

fn no_person(asked: &Asked<'_>) -> Option<String> {
    let operator = asked.text("/spec/operator");
    let machine = MACHINES.iter().any(|prefix| operator.trim().starts_with(prefix));
    machine.then(|| format!("spec.operator {operator} is no person"))
}

fn in_anothers_name(asked: &Asked<'_>) -> Option<String> {
    let (operator, caller) = (asked.text("/spec/operator"), asked.caller());
    (asked.text("/spec/via") == "Direct" && operator != caller)
        .then(|| format!("spec.operator is {operator} but the request is from {caller}: say via: Relay"))
}

fn not_relayed(asked: &Asked<'_>) -> Option<String> {
    let (operator, caller) = (asked.text("/spec/operator"), asked.caller());
    (asked.text("/spec/via") == "Relay" && !asked.may("relay"))
        .then(|| format!("{caller} may not relay for {operator} {}", asked.needs("relay")))
}

/// Fields of a deployment's spec that its operator answers for.
fn answered_for(defined: &[Defined]) -> BTreeSet<&str> {
    let deployment = defined.iter().find(|defined| defined.resource == &DEPLOYMENT);
    let spec = deployment.and_then(|defined| defined.crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"));
    let fields = spec.and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str);
    fields.filter(|field| *field != STOPS_ONLY).collect()
}

fn is_changed(asked: &Asked<'_>) -> bool {
    let rest = |object: &Object| {
        let mut spec = object.body.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        spec.remove(STOPS_ONLY);
        Some(spec)
    };
    let (before, after) = asked.before_and_after(rest);
    before != after
}

fn owners(object: &Object) -> Vec<&Value> {
    object.body.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten().collect()
}

/// Whether a CRD freezes the whole spec.
fn is_frozen(defined: &Defined) -> bool {
    let rules = defined.crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/x-kubernetes-validations");
    rules.and_then(Value::as_array).into_iter().flatten().any(|rule| rule["rule"] == "self == oldSelf")
}

/// A namespace takes its records along. It goes when its Tenant is released, which takes the label off.
fn namespace_kept() -> Guard {
    Guard {
        name: "namespace-kept",
        resources: vec![&NAMESPACE],
        writes: &[Write::Delete],
        selector: Some(MARKED),
        variable: None,
        checks: vec![Check::new(
            in_glass_breakers(),
            format!(
                "'namespace ' + oldObject.metadata.name + ' holds records: ' + variables.caller + ' may not delete it until its Tenant is \
                 deleted and released (group {BREAK_GLASS} may)'"
            ),
            |asked| {
                let (name, caller) = (&asked.request.key.name, asked.caller());
                (!asked.is_member(BREAK_GLASS)).then(|| {
                    format!(
                        "namespace {name} holds records: {caller} may not delete it until its Tenant is deleted and released (group \
                         {BREAK_GLASS} may)"
                    )
                })
            },
        )],
    }
}

/// The label is what refuses the deletion. Each of the three ways to write a namespace can take labels off.
fn namespace_marked() -> Guard {
    let (label, value) = MARKED;
    Guard {
        name: "namespace-marked",
        resources: vec![&NAMESPACE],
        writes: &[Write::Update, Write::UpdateStatus, Write::Finalize],
        selector: Some(MARKED),
        variable: None,
        checks: vec![Check::new(
            format!("variables.isController || object.metadata.?labels[?'{label}'].orValue('') == '{value}'"),
            format!(
                "'label {label} of namespace ' + object.metadata.name + ' is taken off by the controller only, not by ' + variables.caller"
            ),
            |asked| {
                let (label, value) = MARKED;
                let kept = asked.request.object.is_some_and(|object| object.label(label) == Some(value));
                let (name, caller) = (&asked.request.key.name, asked.caller());
                (!kept && !asked.by_controller())
                    .then(|| format!("label {label} of namespace {name} is taken off by the controller only, not by {caller}"))
            },
        )],
    }
}

/// Whoever finalizes a namespace by hand leaves its records where nobody can reach them.
fn namespace_finalized() -> Guard {
    Guard {
        name: "namespace-finalized",
        resources: vec![&NAMESPACE],
        writes: &[Write::Finalize],
        selector: Some(MARKED),
        variable: None,
        checks: vec![Check::new(
            format!(
                "variables.caller in {} || oldObject.spec.?finalizers.orValue([]).all(name, name in object.spec.?finalizers.orValue([]))",
                namespace_controllers()
            ),
            "'namespace ' + object.metadata.name + ' is finalized by the namespace controller only, not by ' + variables.caller",
            |asked| {
                let (before, after) = asked.before_and_after(|object| {
                    object.body.pointer("/spec/finalizers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
                });
                let (name, caller) = (&asked.request.key.name, asked.caller());
                (!NAMESPACE_CONTROLLERS.contains(&caller) && !before.iter().all(|name| after.contains(name)))
                    .then(|| format!("namespace {name} is finalized by the namespace controller only, not by {caller}"))
            },
        )],
    }
}

/// A definition that goes takes its objects along, unasked; one that forgets a field has it erased by the next write of a
/// status. So the whole of its spec is guarded, not the rules in it.
fn definition_kept() -> Guard {
    Guard {
        name: "definition-kept",
        resources: vec![&DEFINITION],
        writes: &[Write::Update, Write::Delete],
        selector: None,
        variable: None,
        checks: vec![Check::new(
            format!("oldObject.spec.group != '{GROUP}' || (variables.updates && object.spec == oldObject.spec) || {}", in_glass_breakers()),
            format!(
                "oldObject.metadata.name + ' defines how records are kept: ' + variables.caller + ' may not ' \
                 + (variables.updates ? 'change' : 'delete') + ' it (group {BREAK_GLASS} may)'"
            ),
            |asked| {
                let group = asked.request.old.and_then(|object| pointer::text(&object.body, "/spec/group"));
                let (before, after) = asked.before_and_after(|object| object.body.get("spec"));
                let same = asked.write() == Write::Update && before == after;
                let (name, caller) = (&asked.request.key.name, asked.caller());
                let what = if asked.write() == Write::Update { "change" } else { "delete" };
                (group == Some(GROUP) && !same && !asked.is_member(BREAK_GLASS))
                    .then(|| format!("{name} defines how records are kept: {caller} may not {what} it (group {BREAK_GLASS} may)"))
            },
        )],
    }
}

/// Whether the caller has broken the glass, in CEL.
fn in_glass_breakers() -> String {
    format!("'{BREAK_GLASS}' in request.userInfo.?groups.orValue([])")
}

/// The namespace controllers as a list in CEL.
fn namespace_controllers() -> String {
    format!("[{}]", NAMESPACE_CONTROLLERS.map(|user| format!("'{user}'")).join(", "))
}
