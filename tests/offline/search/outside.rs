//! The providers, as the adapters' contract describes them: what is there is found by its key, what is gone counts as removed.

use mandate::engine::outcome::{Fault, Outcome};
use mandate::model::call::{Call, CallClass, KeyedCall, Made};
use mandate::model::canonical::Digest;
use mandate::model::failure::{Failure, FailureCode, Repair};
use mandate::model::journal::Evidence;

use super::state::{Outside, Thing};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flaw {
    /// A failure for a person; nothing happened.
    Refused,
    /// A failure for a person, after the effect.
    RefusedAfter,
    /// A failure with a repair that helps.
    Fixable,
    /// A failure with a repair that does not help: the same again afterwards.
    Stubborn,
    /// A failure whose repair fails.
    Unrepairable,
    /// The reply is lost: it may have happened, and has.
    Lost,
    /// Proven: nothing happened.
    Nothing,
}

/// The repair of a fault of this call, where there is one.
fn repair(call: &Call) -> Option<(FailureCode, Repair)> {
    match call.operation() {
        "CloneWorkflow" => Some((FailureCode::CloneDiffers, Repair::CloneAgain)),
        "PublishWebhooks" => Some((FailureCode::WebhookNotRegistered, Repair::Reactivate)),
        "CreateAssistant" => Some((FailureCode::ResourceDiffers, Repair::SetServerUrl)),
        _ => None,
    }
}

/// What can go wrong with a call: everything that an adapter can return for it, by what it means for the journal.
pub fn flaws(call: &Call) -> Vec<Flaw> {
    let mut flaws = vec![Flaw::Refused];
    if call.leaves_resource() {
        flaws.extend([Flaw::RefusedAfter, Flaw::Lost, Flaw::Nothing]);
    }
    if repair(call).is_some() {
        flaws.extend([Flaw::Fixable, Flaw::Stubborn, Flaw::Unrepairable]);
    }
    if call.operation().starts_with("Remove") || call.operation().starts_with("Switch") {
        flaws.push(Flaw::Lost);
    }
    flaws
}

/// One call of the request or deployment with this name and UID in the tenant's namespace.
pub struct Performing<'a> {
    pub tenant: &'a str,
    pub of: (&'a str, &'a str),
    pub call: &'a KeyedCall,
    pub wrong: &'a mut Vec<String>,
}

fn refused(code: FailureCode) -> Outcome {
    Outcome::Refused(Failure::human(code, "it was refused", &["see to it"]))
}

impl Performing<'_> {
    /// The outcome of the call, and what it does outside.
    pub fn outcome(&mut self, outside: &mut Outside, flaw: Option<Flaw>) -> Outcome {
        let fault = || Fault { code: "Fault", message: "it went wrong".into() };
        let fixable =
            repair(&self.call.call).map(|(code, repair)| Outcome::Refused(Failure::fixable(code, repair, "it differs", &["see to it"])));
        let stubborn = |name: String| Some((self.of.1.to_owned(), name));
        let flaw = match flaw {
            None if outside.stubborn == stubborn(self.call.name.clone()) && fixable.is_some() => Some(Flaw::Fixable),
            None if outside.stubborn == stubborn(self.call.name.clone()) => Some(Flaw::Refused),
            flaw => flaw,
        };
        match flaw {
            Some(Flaw::Refused) => return refused(FailureCode::CredentialsRejected),
            Some(Flaw::Nothing) => return Outcome::NoEffect { fault: fault(), retry_after: None },
            Some(Flaw::Stubborn) => outside.stubborn = stubborn(self.call.name.clone()),
            Some(Flaw::Unrepairable) => outside.stubborn = stubborn(format!("repair/{}", self.call.name)),
            Some(Flaw::Fixable | Flaw::RefusedAfter | Flaw::Lost) | None => {}
        }
        // What cannot be looked up is not sent again.
        if self.call.call.class() == CallClass::Opaque && self.call.resumed {
            return Outcome::Unknown(fault());
        }
        let done = self.effect(outside);
        match (flaw, done) {
            (None, done) => done,
            (Some(Flaw::Fixable | Flaw::Stubborn | Flaw::Unrepairable), _) => fixable.unwrap_or_else(|| refused(FailureCode::BadReply)),
            (Some(Flaw::Lost), _) => Outcome::Unknown(fault()),
            (Some(Flaw::Refused | Flaw::RefusedAfter | Flaw::Nothing), _) => refused(FailureCode::BadReply),
        }
    }

    fn effect(&mut self, outside: &mut Outside) -> Outcome {
        match &self.call.call {
            Call::ReadTemplate { template } => Outcome::Done(Evidence { digest: Some(template.digest.clone()), ..Evidence::default() }),
            Call::CloneWorkflow { template, .. } => self.make(outside, true, &template.digest, Vec::new()),
            Call::CreateResource { body, disabled, .. } => self.make(outside, !disabled, &Digest::of_bytes(body.as_bytes()), Vec::new()),
            Call::SubscribeCalendar { subscriber_url, disabled, .. } => {
                self.unshared(outside, subscriber_url);
                self.make(outside, !disabled, &Digest::of_bytes(b"subscription"), vec![subscriber_url.clone()])
            }
            Call::CreateAssistant { definition, .. } => self.make(outside, true, &Digest::of_bytes(definition.as_bytes()), Vec::new()),
            Call::PublishWebhooks { workflow_id, webhooks } => {
                let paths: Vec<String> = webhooks.iter().map(|webhook| webhook.path.clone()).collect();
                for path in &paths {
                    self.unshared(outside, path);
                    if !path.starts_with(&format!("{}-", self.tenant)) {
                        self.wrong.push(format!("webhook path {path} does not begin with the tenant's name"));
                    }
                }
                let urls = paths.iter().map(|path| format!("https://hooks.example/webhook/{path}")).collect();
                self.change(outside, workflow_id, |thing| thing.paths = paths, urls)
            }
            Call::ReactivateWorkflow { workflow_id } => self.change(outside, workflow_id, |_| (), Vec::new()),
            Call::SetServerUrl { assistant, .. } => {
                let id = find(outside, assistant).unwrap_or_default();
                self.change(outside, &id, |_| (), Vec::new())
            }
            Call::UpdateWorkflow { workflow_id, template, .. } => {
                self.change(outside, workflow_id, |thing| thing.version = template.digest.to_string(), Vec::new())
            }
            Call::UpdateAssistant { assistant, definition, .. } => {
                let id = find(outside, assistant).unwrap_or_default();
                self.change(outside, &id, |thing| thing.version = Digest::of_bytes(definition.as_bytes()).to_string(), Vec::new())
            }
            Call::SwitchResource { id, enabled, .. } | Call::SwitchSubscription { id, enabled, .. } => {
                self.change(outside, id, |thing| thing.enabled = *enabled, Vec::new())
            }
            Call::RemoveResource { resource, made } if resource.lookup.is_none() && made.id.is_none() => refused(FailureCode::NotRemovable),
            Call::RemoveWorkflow { workflow: made } | Call::RemoveResource { made, .. } | Call::RemoveAssistant { assistant: made } => {
                let id = find(outside, made);
                self.take_away(outside, id)
            }
            Call::Unsubscribe { subscriber_url, .. } => {
                let subscribed = |thing: &&Thing| thing.call == "calendar" && thing.paths.contains(subscriber_url);
                let id = outside.things.values().find(subscribed).map(|thing| thing.id.clone());
                self.take_away(outside, id)
            }
        }
    }

    /// No two things hold one path or subscriber URL.
    fn unshared(&mut self, outside: &Outside, path: &str) {
        let key = self.call.key.digest().as_str();
        let workflow = if let Call::PublishWebhooks { workflow_id, .. } = &self.call.call { workflow_id.as_str() } else { "" };
        let mut others = outside.things.iter().filter(|(made_with, thing)| *made_with != key && thing.id != workflow);
        if let Some((_, other)) = others.find(|(_, thing)| thing.paths.iter().any(|held| held == path)) {
            self.wrong.push(format!("{path} is held by {} of {} already", other.call, other.of.0));
        }
    }

    fn make(&mut self, outside: &mut Outside, enabled: bool, version: &Digest, paths: Vec<String>) -> Outcome {
        let key = self.call.key.digest().as_str().to_owned();
        if outside.gone.contains(&key) {
            self.wrong.push(format!("{} is made again under the key of what was removed", self.call.name));
        }
        if let Some(thing) = outside.things.get(&key) {
            if self.call.call.class() == CallClass::Opaque {
                self.wrong.push(format!("{} cannot be looked up and is made twice under one key", self.call.name));
            }
            return done(thing);
        }
        let thing = Thing {
            id: format!("{}-{}", self.tenant, self.call.key.mark()),
            of: (self.of.0.to_owned(), self.of.1.to_owned()),
            call: self.call.name.clone(),
            paths,
            enabled,
            version: version.to_string(),
            hidden: self.call.call.class() == CallClass::Opaque,
        };
        let outcome = done(&thing);
        outside.things.insert(key, thing);
        outcome
    }

    fn change(&mut self, outside: &mut Outside, id: &str, change: impl FnOnce(&mut Thing), urls: Vec<String>) -> Outcome {
        self.ours(id);
        let Some(thing) = outside.things.values_mut().find(|thing| thing.id == id) else { return refused(FailureCode::ResourceMissing) };
        change(thing);
        Outcome::Done(Evidence { external_id: Some(id.to_owned()), urls, ..Evidence::default() })
    }

    fn take_away(&mut self, outside: &mut Outside, id: Option<String>) -> Outcome {
        let key = outside.things.iter().find(|(_, thing)| Some(&thing.id) == id.as_ref()).map(|(key, _)| key.clone());
        if let Some(id) = &id {
            self.ours(id);
        }
        let Some(key) = key else { return Outcome::Done(Evidence { external_id: id, absent: true, ..Evidence::default() }) };
        if let Some(thing) = outside.things.remove(&key).filter(|thing| thing.of.0 != self.of.0) {
            self.wrong.push(format!("{} removes {} of {}", self.of.0, thing.call, thing.of.0));
        }
        outside.gone.insert(key);
        Outcome::Done(Evidence { external_id: id, ..Evidence::default() })
    }

    /// Identifiers begin with the name of the tenant whose things they are.
    fn ours(&mut self, id: &str) {
        if !id.is_empty() && !id.starts_with(&format!("{}-", self.tenant)) {
            self.wrong.push(format!("{} touches {id}, which is not the tenant's", self.call.name));
        }
    }
}

fn done(thing: &Thing) -> Outcome {
    Outcome::Done(Evidence { external_id: Some(thing.id.clone()), ..Evidence::default() })
}

/// By the key it carries, or by its identifier where nothing else finds it.
fn find(outside: &Outside, made: &Made) -> Option<String> {
    let by_key = outside.things.get(made.key.digest().as_str()).filter(|thing| !thing.hidden).map(|thing| thing.id.clone());
    made.id.clone().or(by_key)
}
