//! The clinic's world with people around it, and everything that a transcript can do to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mandate::model::canonical::Digest;
use mandate::model::object::ObjectKey;
use mandate::offline::yaml;
use mandate::sandbox::{Fault as Trouble, FaultRule, Operation, Vendor};
use mandate::world::faulty::{CrashPlan, Fault, FaultPoint};
use mandate::world::server::{ApiServer, Identity, Preconditions, Subresource, WriteOptions};
use serde_json::Value;
use tempfile::TempDir;

use super::mask::Mask;
use super::script::words;
use super::seen::{Seen, wrapped};
use crate::clinic::rig::{self, Rig, object};
use crate::notify::process;
use crate::notify::receiver::{Answer, Receiver};
use crate::served::{CALLERS, Served};

/// Every act, as it is written.
const ACTS: [&str; 16] = [
    "begin again",
    "pass N hours",
    "clinic prepared|waiting|completed",
    "apply FILE|FOLDER",
    "copy FILE FILE",
    "edit FILE OLD -> NEW",
    "settle",
    "kill after the Nth write",
    "fault VENDOR FAULT [METHOD PATH] [once|Nth time]",
    "fault none",
    "delete KIND NAME",
    "outside",
    "show KIND NAME POINTER",
    "n8n set WORKFLOW NODE POINTER VALUE",
    "listen [refused N times]",
    "mandate ARGUMENTS [> FILE | sha256sum]",
];

/// What can be wrong outside, as it is written.
const TROUBLES: [(&str, Trouble); 8] = [
    ("400", Trouble::BadRequest),
    ("401", Trouble::Unauthorized),
    ("500", Trouble::InternalError),
    ("503", Trouble::Unavailable { retry_after_seconds: None }),
    ("reply-lost", Trouble::ReplyLost),
    ("content-changed", Trouble::ContentChanged),
    ("not-registered", Trouble::NotRegistered),
    ("server-dropped", Trouble::ServerDropped),
];

/// The stage.
pub struct Stage {
    rig: Rig,
    served: Served,
    /// What a checkout of the repository would be.
    folder: TempDir,
    seen: Seen,
    mask: Mask,
    receiver: Option<Arc<Receiver>>,
    delivered: usize,
}

type Observed = Result<Vec<String>, String>;

impl Stage {
    /// An empty world, the sandbox with the clinic's templates, and a checkout with the examples.
    pub async fn new() -> Self {
        let rig = Rig::empty();
        let served = Served::of(&rig).await;
        let folder = tempfile::tempdir().unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        copied(&examples, &folder.path().join("examples"));
        let mut mask = Mask::default();
        mask.plainly(format!("127.0.0.1:{}", served.port), "127.0.0.1");
        Self { rig, served, folder, seen: Seen::default(), mask, receiver: None, delivered: 0 }
    }

    /// Does one act. What is then observed, or why it cannot be done.
    pub async fn act(&mut self, act: &str) -> Observed {
        let words = words(act);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["begin", "again"] => {
                *self = Self::new().await;
                Ok(Vec::new())
            }
            ["pass", hours, "hours"] => {
                let hours: u64 = hours.parse().map_err(|_| format!("{hours:?} is no number"))?;
                tokio::time::sleep(Duration::from_secs(hours * 3600)).await;
                Ok(Vec::new())
            }
            ["clinic", state @ ("prepared" | "waiting" | "completed")] => self.clinic(state).await,
            ["apply", path] => self.apply(path).await,
            ["copy", from, to] => {
                fs::copy(self.path(from)?, self.folder.path().join(to)).map_err(|error| error.to_string())?;
                Ok(Vec::new())
            }
            ["edit", file, old, "->", new] => self.edit(file, old, new),
            ["settle"] => Ok(self.settle().await),
            ["kill", "after", "the", ordinal, "write"] => self.kill(ordinal).await,
            ["fault", "none"] => {
                self.rig.sandbox.set_faults(Vec::new());
                Ok(Vec::new())
            }
            ["fault", vendor, trouble, rest @ ..] => self.fault(vendor, trouble, rest),
            ["delete", kind, name] => self.delete(kind, name).await,
            ["outside"] => Ok(self.outside()),
            ["show", kind, name, pointer] => self.show(kind, name, pointer).await,
            ["n8n", "set", workflow, node, pointer, value] => self.edit_workflow(workflow, node, pointer, value).await,
            ["listen"] => Ok(self.listen(0)),
            ["listen", "refused", times, "times"] => Ok(self.listen(times.parse().map_err(|_| format!("{times:?} is no number"))?)),
            ["mandate", arguments @ ..] => self.mandate(arguments).await,
            _ => Err(format!("unknown act {act:?}; known: {}", ACTS.join(", "))),
        }
    }

    fn path(&self, path: &str) -> Result<PathBuf, String> {
        let found = self.folder.path().join(path);
        if found.exists() { Ok(found) } else { Err(format!("{path} does not exist")) }
    }

    fn shown(&mut self, lines: &[String]) -> Vec<String> {
        lines.iter().flat_map(|line| wrapped(&self.mask.over(line))).collect()
    }

    /// The clinic as far as transcripts about something later need it; what the earlier ones show is not shown again.
    async fn clinic(&mut self, state: &str) -> Observed {
        for file in ["00-namespaces", "10-tenant", "20-providers", "21-sandbox-secrets", "30-schema"] {
            self.apply(&format!("examples/clinic/{file}.yaml")).await?;
        }
        self.settle().await;
        if state == "prepared" {
            return Ok(vec!["tenant, providers and schema are there; nobody has asked for a receptionist".to_owned()]);
        }
        self.apply("examples/clinic/40-receptionist.yaml").await?;
        self.settle().await;
        let mut now = "ProvisioningRequest receptionist-1 awaits verification";
        if state == "completed" {
            let decide =
                ["decide", "verify", "-n", "acme-dental", "receptionist-1", "--operator", "ben@acme-dental.example", "--all-checks"];
            self.mandate(&decide).await?;
            self.settle().await;
            now = "ProvisioningRequest receptionist-1 is COMPLETED";
        }
        Ok(vec![now.to_owned()])
    }

    /// Applies manifests as the agent does that keeps the cluster as git says.
    async fn apply(&mut self, path: &str) -> Observed {
        let found = self.path(path)?;
        let documents: Vec<Value> = if found.is_dir() {
            rig::documents(&found)
        } else {
            let text = fs::read_to_string(&found).unwrap();
            yaml::read(&text).map_err(|error| error.in_file(path))?.into_iter().map(|document| document.value).collect()
        };
        let mut lines = Vec::new();
        for document in documents {
            let name = format!("{} {}", document["kind"].as_str().unwrap(), document["metadata"]["name"].as_str().unwrap());
            lines.push(match self.put(document).await {
                Ok(what) => format!("{name} {what}"),
                Err(refused) => format!("refused: {refused}"),
            });
        }
        let created = lines.iter().filter(|line| line.ends_with(" created")).count();
        if created > 5 {
            lines.retain(|line| !line.ends_with(" created"));
            lines.push(format!("{created} objects created"));
        }
        Ok(self.shown(&lines))
    }

    async fn put(&self, document: Value) -> Result<&'static str, String> {
        let (memory, git) = (&self.rig.memory, Identity::loader());
        let wanted = object(document);
        let Ok(live) = memory.get(&git, &wanted.key()).await else {
            let created = memory.create(&git, wanted, WriteOptions::default()).await;
            return created.map(|_| "created").map_err(|error| error.to_string());
        };
        let mut next = live.as_ref().clone();
        for part in ["spec", "stringData"] {
            if let Some(value) = wanted.body.get(part) {
                next.body[part] = value.clone();
            }
        }
        let written = memory.update(&git, next, Subresource::Main, WriteOptions::default()).await.map_err(|error| error.to_string())?;
        Ok(if written.object.resource_version() == live.resource_version() { "unchanged" } else { "changed" })
    }

    /// Edits a file of the checkout.
    fn edit(&self, file: &str, old: &str, new: &str) -> Observed {
        let path = self.path(file)?;
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains(old) {
            return Err(format!("{file} does not contain {old:?}"));
        }
        fs::write(path, text.replace(old, &new.replace("\\n", "\n"))).unwrap();
        Ok(Vec::new())
    }

    /// Lets the operator work until nothing is to be done for five minutes.
    async fn settle(&mut self) -> Vec<String> {
        let began = self.rig.clock.now();
        match self.receiver.clone() {
            None => self.rig.settle().await,
            Some(receiver) => {
                let (operator, sink, _) = process(&self.rig, &receiver);
                tokio::select! {
                    () = sink.deliver() => {}
                    () = async { rig::settle(operator).await; sink.drained(Duration::from_secs(3600)).await } => {}
                }
                self.rig.hold();
            }
        }
        let mut lines = Vec::new();
        let seconds = self.rig.clock.now().duration_since(began).as_secs();
        if seconds > 1 {
            lines.push(format!("... {} min {} s later", seconds / 60, seconds % 60));
        }
        lines.extend(self.seen.news(&self.rig, &mut self.mask));
        let deliveries = self.deliveries();
        lines.extend(self.shown(&deliveries));
        if lines.is_empty() { vec!["nothing happened".to_owned()] } else { lines }
    }

    /// What was posted to the receiver since.
    fn deliveries(&mut self) -> Vec<String> {
        let got = self.receiver.as_ref().map(|receiver| receiver.got()).unwrap_or_default();
        let line = |post: &crate::notify::receiver::Got| {
            let text = |pointer: &str| post.body.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
            let [kind, id, subject, whom] = ["/type", "/id", "/subject", "/data/operator"].map(text);
            format!("posted   {kind} id {id} about {subject}, for {whom}")
        };
        let lines = got[self.delivered..].iter().map(line).collect();
        self.delivered = got.len();
        lines
    }

    fn listen(&mut self, refusals: usize) -> Vec<String> {
        let receiver = self.receiver.get_or_insert_default();
        receiver.answers(&vec![Answer::Status(503); refusals]);
        Vec::new()
    }

    /// Lets the operator work until it dies.
    async fn kill(&mut self, ordinal: &str) -> Observed {
        let number = self::ordinal(ordinal)?;
        let plan = CrashPlan::new(FaultPoint::After(number), Fault::Crash);
        let (operator, _) = self.rig.operator(Some(&plan));
        let died = tokio::select! {
            () = plan.crashed() => true,
            () = rig::settle(operator) => false,
        };
        self.rig.hold();
        if !died {
            return Err(format!("the operator came to rest before write {number}"));
        }
        let mut lines = self.seen.news(&self.rig, &mut self.mask);
        lines.push("the process is dead".to_owned());
        Ok(lines)
    }

    fn fault(&mut self, vendor: &str, trouble: &str, rest: &[&str]) -> Observed {
        let vendors = [("n8n", Vendor::N8n), ("vapi", Vendor::Vapi), ("calcom", Vendor::Calcom), ("crm", Vendor::Crm)];
        let unknown = |what: &str, word: &str, known: Vec<&str>| format!("unknown {what} {word:?}; known: {}", known.join(", "));
        let (_, vendor) = vendors
            .into_iter()
            .find(|(name, _)| *name == vendor)
            .ok_or_else(|| unknown("vendor", vendor, vendors.iter().map(|(name, _)| *name).collect()))?;
        let (_, fault) = TROUBLES
            .into_iter()
            .find(|(name, _)| *name == trouble)
            .ok_or_else(|| unknown("fault", trouble, TROUBLES.iter().map(|(name, _)| *name).collect()))?;
        let rule = FaultRule::new(fault).vendor(vendor);
        let rule = match rest {
            [] => rule,
            ["once"] => rule.window(0, 1),
            [method, path] => rule.on(method, path),
            [method, path, "once"] => rule.on(method, path).window(0, 1),
            [method, path, nth, "time"] => rule.on(method, path).window(ordinal(nth)? as u64 - 1, 1),
            _ => return Err(format!("{rest:?}: say [METHOD PATH] [once|Nth time]")),
        };
        let mut rules: Vec<FaultRule> = self.rig.sandbox.faults().into_iter().map(|armed| armed.rule).collect();
        rules.push(rule);
        self.rig.sandbox.set_faults(rules);
        Ok(Vec::new())
    }

    /// An object of the clinic by words that people use.
    fn key(kind: &str, name: &str) -> Result<ObjectKey, String> {
        let known = [
            ("deployment", "AssistantDeployment"),
            ("request", "ProvisioningRequest"),
            ("schema", "ProvisioningSchema"),
            ("decision", "OperatorDecision"),
            ("tenant", "Tenant"),
            ("namespace", "Namespace"),
            ("provider", "Provider"),
        ];
        let names = || known.map(|(word, _)| word).join(", ");
        let (_, kind) =
            known.into_iter().find(|(word, _)| *word == kind).ok_or_else(|| format!("unknown kind {kind:?}; known: {}", names()))?;
        let definitions = mandate::operator::embedded::definitions();
        let resource = definitions.iter().find(|definition| definition.resource.kind == kind).unwrap().resource;
        Ok(ObjectKey::new(resource, if resource.namespaced { "acme-dental" } else { "" }, name))
    }

    async fn delete(&mut self, kind: &str, name: &str) -> Observed {
        let deleted = self.rig.memory.delete(&Identity::loader(), &Self::key(kind, name)?, &Preconditions::default()).await;
        Ok(self.shown(&deleted.err().map(|error| format!("refused: {error}")).into_iter().collect::<Vec<_>>()))
    }

    /// What exists outside, templates left out.
    fn outside(&self) -> Vec<String> {
        let effects = self.rig.sandbox.effects();
        let count = |vendor, operation| effects.iter().filter(|effect| effect.vendor == vendor && effect.operation == operation).count();
        let left = |(vendor, one, many)| {
            let left = count(vendor, Operation::Create) - count(vendor, Operation::Delete);
            format!("{left} {}", if left == 1 { one } else { many })
        };
        let of = [
            (Vendor::N8n, "workflow in n8n", "workflows in n8n"),
            (Vendor::Crm, "CRM subscription", "CRM subscriptions"),
            (Vendor::Calcom, "calendar webhook", "calendar webhooks"),
            (Vendor::Vapi, "voice assistant", "voice assistants"),
        ];
        vec![of.map(left).join(", ")]
    }

    async fn show(&mut self, kind: &str, name: &str, pointer: &str) -> Observed {
        let key = Self::key(kind, name)?;
        let object = self.rig.memory.get(&Identity::loader(), &key).await.map_err(|error| error.to_string())?;
        let value = object.body.pointer(pointer).ok_or_else(|| format!("nothing stands at {pointer}"))?;
        let lines: Vec<String> = serde_yaml::to_string(value).unwrap().lines().map(str::to_owned).collect();
        Ok(self.shown(&lines))
    }

    /// Somebody edits a workflow by hand.
    async fn edit_workflow(&mut self, workflow: &str, node: &str, pointer: &str, value: &str) -> Observed {
        let path = format!("/workflows/{workflow}");
        let mut whole = self.rig.n8n("GET", &path, None).await;
        let nodes = whole["nodes"].as_array_mut().unwrap();
        let found = nodes.iter_mut().find(|found| found["name"] == node).ok_or_else(|| format!("no node {node:?} in {workflow}"))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        *found.pointer_mut(pointer).ok_or_else(|| format!("nothing stands at {pointer}"))? = value;
        let wanted = ["name", "nodes", "connections", "settings"].map(|part| (part.to_owned(), whole[part].take()));
        self.rig.n8n("PUT", &path, Some(Value::Object(wanted.into_iter().collect()))).await;
        Ok(Vec::new())
    }

    /// Runs the binary in the checkout, as the operator who is named or else as ana, while the operator is at work.
    async fn mandate(&mut self, arguments: &[&str]) -> Observed {
        let (arguments, into) = match arguments {
            [arguments @ .., ">", file] => (arguments, Some(*file)),
            _ => (arguments, None),
        };
        let (arguments, summed) = match arguments {
            [arguments @ .., "|", "sha256sum"] => (arguments, true),
            _ => (arguments, false),
        };
        let named = arguments.windows(2).find(|pair| pair[0] == "--operator").map(|pair| pair[1]);
        let caller = named.filter(|name| CALLERS.contains(name)).unwrap_or(CALLERS[0]);
        let work = self.rig.run();
        let output = self.served.mandate(caller, self.folder.path(), arguments).await;
        work.quiet().await;
        work.stop().await;
        self.rig.hold();
        let (said, complained) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        let mut lines: Vec<String> = complained.lines().map(str::to_owned).collect();
        match into {
            Some(file) => fs::write(self.folder.path().join(file), said).unwrap(),
            None if summed => lines.push(format!("{}  -", Digest::of_bytes(said.as_bytes()).as_str().trim_start_matches("sha256:"))),
            None => lines.extend(said.lines().map(str::to_owned)),
        }
        if !output.status.success() {
            lines.push(format!("(exit code {})", output.status.code().unwrap()));
        }
        Ok(self.shown(&lines))
    }
}

/// `3rd` as a number, from 1.
fn ordinal(word: &str) -> Result<usize, String> {
    let number = word.trim_end_matches(|character: char| character.is_ascii_alphabetic()).parse();
    number.ok().filter(|number| *number > 0).ok_or_else(|| format!("{word:?} is no ordinal number"))
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
