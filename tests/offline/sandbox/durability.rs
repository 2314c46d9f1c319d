//! What the log file keeps, what a kill -9 can do to it, and the templates beneath it.

use std::fs;
use std::path::{Path, PathBuf};

use mandate::sandbox::{LogError, Sandbox, SandboxError, SandboxOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bench::{Bench, WORKFLOWS, options, webhook_workflow};

fn durable(log: &Path) -> SandboxOptions {
    SandboxOptions { log: Some(log.to_path_buf()), ..options(1_000_000) }
}

/// Everything the four systems show.
async fn shown(bench: &Bench) -> Vec<Value> {
    let mut all = Vec::new();
    for path in [WORKFLOWS, "/vapi/assistant", "/calcom/v2/webhooks", "/crm/v1/subscriptions"] {
        all.push(bench.get(path).await.1);
    }
    for path in ["kept", "moved", "gone"] {
        all.push(bench.post(&format!("/n8n/webhook/{path}"), json!({})).await.1);
    }
    all
}

/// Every operation of every system at least once.
async fn busy_day(bench: &Bench) {
    let id = bench.workflow(webhook_workflow("Reception", "gone")).await;
    bench.activate(&id).await;
    bench.call("PUT", &format!("{WORKFLOWS}/{id}"), Some(webhook_workflow("Reception", "kept"))).await;
    let second = bench.workflow(webhook_workflow("Second", "moved")).await;
    bench.activate(&second).await;
    bench.call("POST", &format!("{WORKFLOWS}/{second}/deactivate"), None).await;
    let third = bench.workflow(webhook_workflow("Third", "gone")).await;
    bench.activate(&third).await;
    bench.call("DELETE", &format!("{WORKFLOWS}/{third}"), None).await;
    let bodies = [
        ("/vapi/assistant", json!({"name": "Reception", "metadata": {"key": "a"}}), json!({"name": "Renamed"}), "/id"),
        (
            "/calcom/v2/webhooks",
            json!({"subscriberUrl": "https://a.example", "triggers": ["BOOKING_CREATED"], "active": true}),
            json!({"active": false}),
            "/data/id",
        ),
        (
            "/crm/v1/subscriptions",
            json!({"externalId": "a", "name": "a", "callbackUrl": "https://a.example"}),
            json!({"enabled": false}),
            "/id",
        ),
    ];
    for (path, body, patch, id) in bodies {
        for keep in [false, true] {
            let (_, created) = bench.post(path, body.clone()).await;
            let place = format!("{path}/{}", created.pointer(id).unwrap().as_str().unwrap());
            assert_eq!(bench.call("PATCH", &place, Some(patch.clone())).await.0, 200);
            if !keep {
                assert_eq!(bench.call("DELETE", &place, None).await.0, 200);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_opened_again_shows_the_same_and_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("effects.jsonl");
    let bench = Bench::with(SandboxOptions { sync: true, ..durable(&log) });
    busy_day(&bench).await;
    let (before, effects) = (shown(&bench).await, bench.sandbox.effects());
    drop(bench);
    let bench = Bench::with(SandboxOptions { log: Some(log), ..options(2_000_000) });
    assert_eq!(shown(&bench).await, before);
    assert_eq!(bench.sandbox.effects(), effects);
    let rival = bench.workflow(webhook_workflow("Rival", "kept")).await;
    assert_eq!(bench.activate(&rival).await.0, 400);
    assert_eq!(bench.sandbox.effects().last().unwrap().sequence, effects.last().unwrap().sequence + 1);
}

#[tokio::test(start_paused = true)]
async fn a_log_cut_at_any_byte_opens_with_every_effect_whose_line_is_whole() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("effects.jsonl");
    let bench = Bench::with(durable(&log));
    let id = bench.workflow(webhook_workflow("Reception", "kept")).await;
    bench.activate(&id).await;
    bench.call("DELETE", &format!("{WORKFLOWS}/{id}"), None).await;
    let effects = bench.sandbox.effects();
    drop(bench);
    let whole = fs::read(&log).unwrap();
    for length in 0..=whole.len() {
        let kept = &whole[..length];
        fs::write(&log, kept).unwrap();
        let bench = Bench::with(durable(&log));
        // The three requests had one, two (with the webhook) and two effects.
        let survived = [0, 1, 3, 5][kept.iter().filter(|byte| **byte == b'\n').count()];
        assert_eq!(bench.sandbox.effects(), effects[..survived], "cut at {length}");
        // Writing on after the cut, at a spread of places: opening twice at every byte would be slow.
        if length % 61 == 0 {
            bench.workflow(webhook_workflow("Next", "next")).await;
            drop(bench);
            assert_eq!(Bench::with(durable(&log)).sandbox.effects().len(), survived + 1, "cut at {length}");
        }
    }
}

fn refusal(options: SandboxOptions) -> SandboxError {
    Sandbox::open(options).err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn damage_before_the_last_line_is_reported_with_its_line() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("effects.jsonl");
    let bench = Bench::with(durable(&log));
    bench.workflow(webhook_workflow("Reception", "p")).await;
    drop(bench);
    let good = fs::read_to_string(&log).unwrap();
    for bad in ["{\"effects\":[]}\n", "nonsense\n", "{\"effects\":[],\"resource\":null}\n"] {
        fs::write(&log, format!("{good}{bad}{good}")).unwrap();
        assert!(matches!(refusal(durable(&log)), SandboxError::Log(LogError::Corrupt { line: 2, .. })), "{bad}");
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("{good}{bad}{good}"));
    }
}

#[tokio::test(start_paused = true)]
async fn two_sandboxes_do_not_write_one_log() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("effects.jsonl");
    let first = Bench::with(durable(&log));
    assert!(matches!(refusal(durable(&log)), SandboxError::Log(LogError::InUse(_))));
    drop(first);
    assert!(Sandbox::open(durable(&log)).is_ok());
}

fn template_folder(files: &[(&str, Value)]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let templates = folder.path().join("templates");
    fs::create_dir(&templates).unwrap();
    for (name, document) in files {
        fs::write(templates.join(name), document.to_string()).unwrap();
    }
    (folder, templates)
}

fn template(id: &str) -> Value {
    let mut document = webhook_workflow("Reception template", "kept");
    document["id"] = json!(id);
    document["active"] = json!(true);
    document["tags"] = json!([]);
    document
}

#[tokio::test(start_paused = true)]
async fn templates_are_there_from_the_start_inactive_and_no_effects() {
    let (_folder, templates) = template_folder(&[("a.json", template("ReceptionTmpl001")), ("notes.txt", json!("not a template"))]);
    let bench = Bench::with(SandboxOptions { templates: Some(templates), ..options(1) });
    let (status, found) = bench.get(&format!("{WORKFLOWS}/ReceptionTmpl001")).await;
    assert_eq!((status.as_u16(), &found["name"], &found["active"]), (200, &json!("Reception template"), &json!(false)));
    assert_eq!(bench.sandbox.effects(), []);
    assert_eq!(bench.post("/n8n/webhook/kept", json!({})).await.0, 404);
    assert_eq!(bench.activate("ReceptionTmpl001").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn what_was_done_to_a_template_outlives_a_restart() {
    let (folder, templates) = template_folder(&[("a.json", template("ReceptionTmpl001")), ("b.json", template("ReceptionTmpl002"))]);
    let log = folder.path().join("effects.jsonl");
    let with = || SandboxOptions { templates: Some(templates.clone()), ..durable(&log) };
    let bench = Bench::with(with());
    bench.call("DELETE", &format!("{WORKFLOWS}/ReceptionTmpl001"), None).await;
    bench.activate("ReceptionTmpl002").await;
    let before = shown(&bench).await;
    drop(bench);
    assert_eq!(shown(&Bench::with(with())).await, before);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_is_no_workflow_is_reported_by_file_and_reason() {
    let without = |key: &str| {
        let mut document = template("ReceptionTmpl001");
        document.as_object_mut().unwrap().remove(key);
        document
    };
    let cases = [
        (without("id"), "id is missing"),
        (template("short"), "id \"short\" is not 16 letters and digits"),
        (without("settings"), "request/body must have required property 'settings'"),
    ];
    for (document, reason) in cases {
        let (_folder, templates) = template_folder(&[("bad.json", document)]);
        let error = refusal(SandboxOptions { templates: Some(templates.clone()), ..options(1) });
        assert_eq!(error.to_string(), format!("workflow template {}: {reason}", templates.join("bad.json").display()));
    }
    let (_folder, templates) = template_folder(&[("a.json", template("ReceptionTmpl001")), ("b.json", template("ReceptionTmpl001"))]);
    let error = refusal(SandboxOptions { templates: Some(templates.clone()), ..options(1) }).to_string();
    assert!(error.ends_with("b.json: id ReceptionTmpl001 is also that of \"Reception template\""), "{error}");
    fs::write(templates.join("a.json"), "{").unwrap();
    let error = refusal(SandboxOptions { templates: Some(templates.clone()), ..options(1) }).to_string();
    assert!(error.contains("a.json: EOF while parsing"), "{error}");
    let error = refusal(SandboxOptions { templates: Some(templates.join("nowhere")), ..options(1) }).to_string();
    assert!(error.contains("nowhere"), "{error}");
}
