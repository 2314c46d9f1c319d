//! `mandate decide` and what surrounds it: the binary against a served world, as people with tokens use it.

use std::path::Path;

use mandate::kinds::assistantdeployment::api::DEPLOYMENT;
use mandate::kinds::operatordecision::api::DECISION;
use mandate::kinds::provisioningrequest::api::REQUEST;
use mandate::kinds::provisioningschema::api::SCHEMA;
use mandate::kinds::tenant::api::TENANT;
use mandate::model::canonical::Digest;
use mandate::model::object::Object;
use mandate::offline::yaml;
use mandate::sandbox::{Fault, FaultRule, Vendor};
use mandate::world::server::ApiServer as _;
use serde_json::{Value, json};

use crate::clinic::rig::{Rig, clinic, condition, documents};
use crate::served::Served;

const ANA: &str = "ana@acme-dental.example";
const BEN: &str = "ben@acme-dental.example";

/// A world, served.
struct Desk {
    rig: Rig,
    served: Served,
    folder: tempfile::TempDir,
}

/// What a command printed and how it ended.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    async fn of(rig: Rig) -> Self {
        Self { served: Served::of(&rig).await, rig, folder: tempfile::tempdir().unwrap() }
    }

    /// The clinic with its request in `MANUAL_VERIFICATION`.
    async fn waiting() -> Self {
        let rig = Rig::clinic().await;
        rig.settle().await;
        Self::of(rig).await
    }

    /// The clinic failed at its last step.
    async fn failed() -> Self {
        let rig = Rig::clinic().await;
        rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
        rig.settle().await;
        rig.sandbox.set_faults(Vec::new());
        Self::of(rig).await
    }

    /// The clinic verified.
    async fn completed() -> Self {
        let desk = Self::waiting().await;
        desk.done("decide verify -n acme-dental receptionist-1 --all-checks").await;
        desk
    }

    /// Runs a command as ben while the operator is at work.
    async fn run(&self, arguments: &str) -> Said {
        self.run_as(BEN, arguments).await
    }

    async fn run_as(&self, caller: &str, arguments: &str) -> Said {
        // A note of several words is written with underscores.
        let arguments: Vec<String> = arguments.split(' ').map(|word| word.replace('_', " ")).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let work = self.rig.run();
        let output = self.served.mandate(caller, self.folder.path(), &arguments).await;
        work.quiet().await;
        work.stop().await;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Runs a command that succeeds, and lets the world settle.
    async fn done(&self, arguments: &str) -> Said {
        let said = self.run(arguments).await;
        assert_eq!(said.code, 0, "{arguments}: {}{}", said.out, said.err);
        self.rig.settle().await;
        said
    }

    /// Runs a command that is refused: why, in one line. Nothing is written.
    async fn refused(&self, caller: &str, arguments: &str) -> String {
        let version = self.rig.memory.resource_version();
        let said = self.run_as(caller, arguments).await;
        assert_eq!((said.code, said.out.as_str()), (1, ""), "{arguments}: {}", said.err);
        assert_eq!(self.rig.memory.resource_version(), version, "{arguments}: nothing is written");
        let line = said.err.strip_suffix('\n').unwrap();
        assert!(!line.contains('\n'), "{line}");
        line.strip_prefix("mandate: ").unwrap().to_owned()
    }

    async fn request(&self, attempt: u32) -> std::sync::Arc<Object> {
        self.rig.get(&REQUEST, "acme-dental", &format!("receptionist-{attempt}")).await.unwrap()
    }

    fn file(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Prints a decision: what is said of it first, and the document. Nothing is written.
    async fn printed(&self, arguments: &str) -> (Vec<String>, Value) {
        let before = self.rig.all("OperatorDecision").len();
        let said = self.run(&format!("{arguments} --print")).await;
        assert_eq!(said.code, 0, "{arguments}: {}", said.err);
        assert_eq!(self.rig.all("OperatorDecision").len(), before, "printing writes nothing");
        let document = yaml::read(&said.out).unwrap().remove(0).value;
        (said.err.lines().map(str::to_owned).collect(), document)
    }

    /// What is printed of an act says first what happens, then the hash that the subject offers, and names both in the document.
    async fn says(&self, arguments: &str, subject: &Object, happens: &str) -> Vec<String> {
        let (told, document) = self.printed(arguments).await;
        let offered = &subject.body["status"]["decision"]["hash"];
        assert_eq!(told[0], happens);
        assert_eq!(told[1], format!("evidence  {}", offered.as_str().unwrap()));
        let spec = &document["spec"];
        assert_eq!((&spec["subject"]["hash"], &spec["subject"]["uid"]), (offered, &subject.uid().into()));
        assert_eq!((&spec["operator"], &spec["via"]), (&BEN.into(), &"Relay".into()), "who applies it is somebody else");
        told[2..].to_vec()
    }
}

/// Revision 2 of the clinic's schema: another prompt.
fn second_revision() -> Value {
    let mut schema = documents(&clinic()).into_iter().find(|document| document["kind"] == "ProvisioningSchema").unwrap();
    schema["metadata"]["name"] = "recepcionista-ia-1.0-r2".into();
    schema["spec"]["revision"] = 2.into();
    let text = schema["spec"]["voice"]["assistant"].as_str().unwrap().replace("\"maxDurationSeconds\":600", "\"maxDurationSeconds\":480");
    schema["spec"]["voice"]["assistant"] = text.into();
    schema
}

#[tokio::test(start_paused = true)]
async fn what_can_be_done_about_a_failure_is_told_with_what_it_left_outside_before_anything_is_done() {
    let desk = Desk::failed().await;
    let request = desk.request(1).await;
    let on = "-n acme-dental receptionist-1";
    let left = |told: Vec<String>| {
        let names: Vec<String> = told.iter().map(|line| line.split(':').nth(1).unwrap().trim().to_owned()).collect();
        assert!(told.iter().all(|line| line.starts_with("  outside: ")), "{told:?}");
        names
    };
    let all = ["clone/intake", "clone/booking", "crm", "calendar", "assistant"].map(|call| {
        let provider = [("clone/intake", "n8n"), ("clone/booking", "n8n"), ("crm", "crm"), ("calendar", "calcom"), ("assistant", "vapi")];
        format!("{call} at Provider {}", provider.iter().find(|(name, _)| *name == call).unwrap().1)
    });
    let happens =
        "Retry ProvisioningRequest receptionist-1: what the attempt left outside is removed, then everything is made anew from PENDING";
    assert_eq!(left(desk.says(&format!("decide retry {on}"), &request, happens).await), all);
    let happens = "Rollback ProvisioningRequest receptionist-1: everything that it left outside is removed, in reverse order; then an operator confirms";
    assert_eq!(left(desk.says(&format!("decide rollback {on}"), &request, happens).await), all);
    let happens = "Intervene ProvisioningRequest receptionist-1: the note is put on record; nothing else changes";
    assert_eq!(desk.says(&format!("decide intervene {on} --note rotated_the_key"), &request, happens).await, Vec::<String>::new());

    let said = desk.done(&format!("decide rollback {on}")).await;
    assert!(said.out.ends_with(": Accepted: Rollback was acted upon; the subject's audit chain records it\n"), "{}", said.out);
    let happens = "ConfirmRollback ProvisioningRequest receptionist-1: it becomes ROLLED_BACK";
    let checks = ["assistant", "calendar-webhook", "crm-registration"].map(|what| format!("  [ ] {what}-is-gone"));
    let told = desk.refused(BEN, &format!("decide confirm-rollback {on}")).await;
    assert!(told.starts_with("ChecklistIncomplete: spec.checklist lacks assistant-is-gone, calendar-webhook-is-gone, "), "{told}");
    let told = desk.says(&format!("decide confirm-rollback {on} --all-checks"), &*desk.request(1).await, happens).await;
    assert_eq!(told[..3], checks.map(|line| line.replace("[ ]", "[x]")));
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_live_assistant_or_a_tenant_is_told_in_their_own_words() {
    let desk = Desk::completed().await;
    desk.rig.delete(&DEPLOYMENT, "acme-dental", "receptionist").await;
    desk.rig.settle().await;
    let happens =
        "Release ProvisioningRequest receptionist-1: what it left outside stays as it is, on record, and is nobody's here any more";
    let told = desk.says("decide release -n acme-dental receptionist-1 --note as_agreed", &*desk.request(1).await, happens).await;
    assert_eq!(told.len(), 5);
    desk.done("decide release -n acme-dental receptionist-1 --note as_agreed").await;
    desk.rig.delete(&TENANT, "", "acme-dental").await;
    desk.rig.settle().await;
    let tenant = desk.rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let happens = "Release Tenant acme-dental: the heads of all audit chains in its namespace are put on record in the platform's; then the \
                   tenant goes, and the namespace may be deleted with every record in it";
    desk.says("decide release tenant/acme-dental --note closed", &tenant, happens).await;
    desk.done("decide release tenant/acme-dental --note closed").await;
    assert!(desk.rig.get(&TENANT, "", "acme-dental").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_propagation_that_stopped_and_one_that_is_complete_are_decided_on_by_type_and_name() {
    let desk = Desk::completed().await;
    desk.rig.sandbox.set_faults(vec![FaultRule::new(Fault::Unauthorized).vendor(Vendor::Vapi)]);
    desk.rig.apply(second_revision()).await;
    desk.rig.settle().await;
    desk.rig.sandbox.set_faults(Vec::new());
    let deployment = desk.rig.get(&DEPLOYMENT, "acme-dental", "receptionist").await.unwrap();
    // The command stands in the condition.
    let [_, _, said] = condition(&deployment, "UpToDate");
    assert!(said.ends_with("`mandate decide retry -n acme-dental assistantdeployment/receptionist`"), "{said}");
    let happens = "Retry AssistantDeployment receptionist: the cutover or propagation that has stopped goes on where it stopped";
    desk.says("decide retry -n acme-dental assistantdeployment/receptionist", &deployment, happens).await;
    evidence_hashes_to_what_is_offered(&desk, "get adep receptionist -n acme-dental -o yaml", &deployment).await;
    let early = desk.refused(BEN, "decide validate-propagation pschema/recepcionista-ia-1.0-r2").await;
    assert!(early.starts_with("PropagationIncomplete: not every live deployment is on the revision: "), "{early}");

    desk.done("decide retry -n acme-dental assistantdeployment/receptionist").await;
    let schema = desk.rig.get(&SCHEMA, "", "recepcionista-ia-1.0-r2").await.unwrap();
    let [_, _, said] = condition(&schema, "Propagated");
    assert!(said.ends_with("mandate decide validate-propagation pschema/recepcionista-ia-1.0-r2"), "{said}");
    let happens = "ValidatePropagation ProvisioningSchema recepcionista-ia-1.0-r2: the propagation of this revision is closed";
    desk.says("decide validate-propagation pschema/recepcionista-ia-1.0-r2", &schema, happens).await;
    evidence_hashes_to_what_is_offered(&desk, "get pschema recepcionista-ia-1.0-r2 -o yaml", &schema).await;
    desk.done("decide validate-propagation pschema/recepcionista-ia-1.0-r2").await;
}

/// What an operator exports hashes to what is offered: nobody has to believe the controller.
async fn evidence_hashes_to_what_is_offered(desk: &Desk, export: &str, subject: &Object) {
    let exported = desk.run(export).await;
    assert_eq!(exported.code, 0, "{}", exported.err);
    desk.file("subject.yaml", &exported.out);
    let text = desk.run("canonical --evidence subject.yaml").await;
    assert_eq!(text.code, 0, "{}", text.err);
    let hash = desk.run("hash --evidence subject.yaml").await;
    let offered = subject.body["status"]["decision"]["hash"].as_str().unwrap();
    assert_eq!(Digest::of_bytes(text.out.as_bytes()).as_str(), offered);
    assert_eq!(hash.out.trim_end(), offered);
}

#[tokio::test(start_paused = true)]
async fn the_evidence_of_requests_and_tenants_is_printed_from_an_export() {
    let desk = Desk::failed().await;
    evidence_hashes_to_what_is_offered(&desk, "get preq receptionist-1 -n acme-dental -o yaml", &*desk.request(1).await).await;
    let nothing = desk.run("get adep receptionist -n acme-dental -o yaml").await;
    desk.file("subject.yaml", &nothing.out);
    let refused = desk.run("canonical --evidence subject.yaml").await;
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    assert!(refused.err.contains("subject.yaml: only a ProvisioningRequest, an AssistantDeployment whose own calls"), "{}", refused.err);

    for act in ["decide rollback", "decide confirm-rollback --all-checks"] {
        desk.done(&format!("{act} -n acme-dental receptionist-1")).await;
    }
    desk.rig.delete(&TENANT, "", "acme-dental").await;
    desk.rig.settle().await;
    let tenant = desk.rig.get(&TENANT, "", "acme-dental").await.unwrap();
    let parts = [desk.run("get tenant acme-dental -o yaml").await.out, desk.run("get auditrecords -A -o yaml").await.out];
    desk.file("export.yaml", &parts.join("---\n"));
    let hash = desk.run("hash --evidence export.yaml").await;
    assert_eq!(hash.out.trim_end(), tenant.body["status"]["decision"]["hash"].as_str().unwrap(), "{}", hash.err);
    desk.file("none.yaml", &parts[1]);
    let refused = desk.run("hash --evidence none.yaml").await;
    assert_eq!(refused.err.trim_end(), "mandate: none.yaml: one subject is expected among these documents, not 0");
}

#[tokio::test(start_paused = true)]
async fn what_is_printed_is_valid_offline_and_acts_when_it_is_committed() {
    let desk = Desk::waiting().await;
    let printed = desk.run("decide verify -n acme-dental receptionist-1 --all-checks --expires-at 2099-01-01T00:00:00Z --print").await;
    desk.file("decision.yaml", &printed.out);
    let checked =
        desk.run(&format!("validate decision.yaml {}", Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/clinic").display())).await;
    assert_eq!((checked.code, checked.out.as_str()), (0, "14 objects in 7 files: valid\n"), "{}", checked.err);
    let document = yaml::read(&printed.out).unwrap().remove(0).value;
    let decision = desk.rig.apply(document).await;
    desk.rig.settle().await;
    let decision = desk.rig.get(&DECISION, "acme-dental", decision.name()).await.unwrap();
    assert_eq!(decision.body["status"]["verdict"], "Accepted");
    assert_eq!(desk.request(1).await.body["status"]["state"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn an_act_that_is_not_offered_is_refused_with_those_that_are() {
    let desk = Desk::waiting().await;
    let on = "-n acme-dental receptionist-1";
    for (act, named) in [("retry", "Retry"), ("rollback", "Rollback"), ("confirm-rollback --all-checks", "ConfirmRollback")] {
        let said = desk.refused(BEN, &format!("decide {act} {on}")).await;
        assert_eq!(said, format!("ActNotOffered: {named} is not possible now; possible: [Verify, Reject]"));
    }
    let said = desk.refused(BEN, "decide retry -n acme-dental adep/receptionist").await;
    let words = "AssistantDeployment receptionist offers no decision now: AwaitingVerification: receptionist-1: step 6 of 6: an operator \
                 checks the result: mandate decide verify -n acme-dental receptionist-1";
    assert_eq!(said, words, "it names what can be decided on instead");
}

#[tokio::test(start_paused = true)]
async fn a_subject_that_is_unknown_or_another_tenants_is_not_decided_on() {
    let rig = Rig::clinic_beside(|_| {}).await;
    rig.settle().await;
    let desk = Desk::of(rig).await;
    let missing = "the API server says: provisioningrequests.mandate.dev \"receptionist-9\" not found";
    assert_eq!(desk.refused(BEN, "decide verify -n acme-dental receptionist-9 --all-checks").await, missing);
    let said = desk.refused(BEN, "decide verify -n acme-dental secret/receptionist-1 --all-checks").await;
    assert_eq!(said, "secret takes no decisions: use preq, adep, pschema or tenant, as in tenant/acme");
    let said = desk.refused(BEN, "decide release tenant/nobody --note x").await;
    assert_eq!(said, "the API server says: tenants.mandate.dev \"nobody\" not found");

    // A decision on what is acme-dental's, put into the namespace of the tenant beside.
    let printed = desk.run("decide verify -n acme-dental receptionist-1 --all-checks --print").await;
    let mut document = yaml::read(&printed.out).unwrap().remove(0).value;
    document["metadata"]["namespace"] = "beside".into();
    let effects = desk.rig.effects();
    let decision = desk.rig.apply(document).await;
    desk.rig.settle().await;
    let decision = desk.rig.get(&DECISION, "beside", decision.name()).await.unwrap();
    let said = "ProvisioningRequest receptionist-1 is another object of the same name: decide on it anew";
    assert_eq!(condition(&decision, "Ready")[1..], ["SubjectReplaced", said]);
    assert_eq!(decision.body["status"]["verdict"], "Void");
    assert_eq!(desk.request(1).await.body["status"]["state"], "MANUAL_VERIFICATION");
    assert_eq!(desk.rig.effects(), effects, "nothing was done outside");
    desk.rig.beside_is_well().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_act_is_refused_before_it_is_written() {
    let desk = Desk::waiting().await;
    let said = desk.refused(BEN, "decide verify -n acme-dental receptionist-1 --all-checks --expires-at 2020-01-01T00:00:00Z").await;
    assert_eq!(said, "Expired: the decision lapsed at 2020-01-01T00:00:00Z: create a new one");
}

#[tokio::test(start_paused = true)]
async fn under_four_eyes_the_submitter_is_refused_before_anything_is_written_and_another_is_not() {
    let rig = Rig::clinic_beside(|document| {
        if document["kind"] == "Tenant" {
            document["spec"]["fourEyes"] = true.into();
        }
    })
    .await;
    rig.settle().await;
    let desk = Desk::of(rig).await;
    let verify = "decide verify -n acme-dental receptionist-1 --all-checks";
    let words = "FourEyes: the tenant demands four eyes and ana@acme-dental.example submitted what is decided on";
    assert_eq!(desk.refused(ANA, verify).await, words);
    assert_eq!(desk.refused("gitops", &format!("{verify} --operator {ANA}")).await, words);
    desk.done(verify).await;
    assert_eq!(desk.request(1).await.body["status"]["state"], "COMPLETED");
}

#[tokio::test(start_paused = true)]
async fn who_decides_is_the_caller_unless_another_is_named_and_then_it_is_relayed() {
    let desk = Desk::failed().await;
    let intervene = "decide intervene -n acme-dental receptionist-1 --note looked_at_it";
    desk.done(intervene).await;
    desk.done(&format!("{intervene} --operator {ANA}")).await;
    desk.done(&format!("{intervene} --operator {BEN}")).await;
    let journal = desk.request(1).await.body["status"]["journal"]["decisions"].clone();
    let taken: Vec<_> = journal.as_array().unwrap().iter().map(|taken| (taken["operator"].clone(), taken["via"].clone())).collect();
    assert_eq!(taken, [(json!(BEN), json!("Direct")), (json!(ANA), json!("Relay")), (json!(BEN), json!("Direct"))]);
    let said = desk.refused("gitops", &format!("{intervene} --operator system:serviceaccount:a:b")).await;
    assert_eq!(
        said,
        "OperatorNotAPerson: spec.operator system:serviceaccount:a:b is no person: service accounts and nodes answer for nothing"
    );
}
