//! A template is used only as it was pinned.

use mandate::model::call::{Call, Place, Template};
use mandate::model::failure::FailureCode;
use serde_json::{Value, json};

use super::calls::{WORKFLOWS, clone_of, template, template_document};
use super::rig::{Rig, keyed};

#[tokio::test(start_paused = true)]
async fn a_template_as_pinned_is_read_without_an_effect() {
    let rig = Rig::new();
    let template = template(&rig).await;
    let evidence = rig.done(&keyed(Call::ReadTemplate { template: template.clone() })).await;
    assert_eq!((evidence.external_id, evidence.digest), (Some(template.id), Some(template.digest)));
    assert_eq!(rig.operations(), []);
}

/// Reading it and cloning it refuse alike, and nothing is created.
async fn refused(change: impl Fn(&mut Template, &mut Value), code: FailureCode, part: &str) {
    let rig = Rig::new();
    let mut template = template(&rig).await;
    let mut document = template_document();
    change(&mut template, &mut document);
    if document != template_document() {
        rig.direct("PUT", &format!("{WORKFLOWS}/{}", template.id), Some(document)).await;
    }
    rig.settle();
    rig.refused_with(&keyed(Call::ReadTemplate { template: template.clone() }), code, part).await;
    rig.refused_with(&clone_of(template), code, part).await;
    assert_eq!(rig.operations(), []);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_not_as_pinned_is_refused() {
    let place = |node: &str, pointer: &str| Place { node: node.into(), pointer: pointer.into(), source: "parameter.x".into() };
    refused(|template, _| template.id = "nowhere".into(), FailureCode::TemplateMissing, "template nowhere does not exist").await;
    refused(|template, _| template.id = "../credentials".into(), FailureCode::TemplateMissing, "does not exist").await;
    refused(|template, _| template.id = "..".into(), FailureCode::TemplateMissing, "does not exist").await;
    refused(|_, document| document["nodes"][1]["parameters"]["method"] = json!("PUT"), FailureCode::TemplateDrift, "the schema pins").await;
    refused(|_, document| document["settings"]["timezone"] = json!("Europe/Madrid"), FailureCode::TemplateDrift, "sha256:").await;
    refused(|template, _| template.node_types.truncate(1), FailureCode::NodeTypeNotAllowed, "n8n-nodes-base.httpRequest").await;
    refused(|template, _| template.webhooks.clear(), FailureCode::TemplateInvalid, "webhook nodes are").await;
    refused(|_, document| document["nodes"][2]["name"] = json!("Book"), FailureCode::TemplateInvalid, "two nodes are named").await;
    refused(|template, _| template.places[0] = place("Nobody", "/x"), FailureCode::SubstitutionUnmatched, "node \"Nobody\"").await;
    refused(|template, _| template.places[0] = place("Book", "/parameters/no"), FailureCode::SubstitutionUnmatched, "/parameters/no").await;
    refused(|template, _| template.places[0] = place("Answer", "/parameters"), FailureCode::SubstitutionUnmatched, "overlap").await;
}

#[tokio::test(start_paused = true)]
async fn a_drift_names_both_digests_and_says_what_to_do() {
    let rig = Rig::new();
    let mut template = template(&rig).await;
    let found = template.digest.clone();
    template.digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let failure = rig.refused(&keyed(Call::ReadTemplate { template: template.clone() })).await;
    assert!(failure.message.contains(found.as_str()) && failure.message.contains(template.digest.as_str()), "{}", failure.message);
    assert!(failure.remediation[0].contains(&template.id) && failure.remediation[0].contains("n8n-main"), "{failure:?}");
}
