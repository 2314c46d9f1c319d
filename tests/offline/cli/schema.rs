//! `mandate schema`: digests written into a file of which nothing else changes, and the rules with what they protect.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use mandate::engine::port::{RandomIdentifiers, SystemClock};
use mandate::offline::pin::Schemas;
use mandate::offline::templates::Templates;
use mandate::sandbox::{N8N_KEY, Sandbox, SandboxOptions};
use serde_json::Value;

use super::{clinic, mandate, said};

const SCHEMA: &str = "30-schema.yaml";

/// A clinic and the path of its schema.
fn a_schema() -> (tempfile::TempDir, String) {
    let folder = clinic();
    let file = folder.path().join(SCHEMA).to_str().unwrap().to_owned();
    (folder, file)
}

fn templates(folder: &Path) -> Templates {
    let (templates, problems) = Templates::read(&[folder.join("sandbox")]);
    assert_eq!(problems, []);
    templates
}

fn pin(file: &str, folder: &Path, more: &[&str]) -> Output {
    let sandbox = folder.join("sandbox");
    mandate(&[&["schema", "pin", file, "--templates", sandbox.to_str().unwrap()], more].concat(), "")
}

/// The intake's digest as it is pinned.
fn digest_of_intake(text: &str) -> String {
    let line = text.lines().find(|line| line.trim_start().starts_with("digest: ")).unwrap();
    line.trim_start().strip_prefix("digest: ").unwrap().to_owned()
}

#[test]
fn pinning_writes_the_digest_however_it_is_written_and_keeps_every_other_byte() {
    let folder = clinic();
    let original = fs::read_to_string(folder.path().join(SCHEMA)).unwrap();
    let digest = digest_of_intake(&original);
    let line = format!("      digest: {digest}\n");
    let zeros = format!("sha256:{}", "0".repeat(64));
    let block = "    - name: intake\n      templateId: tPlIntake0000001\n";
    assert!(original.contains(&format!("{block}{line}")));
    let written = |before: &str, after: &str| (original.replace(&line, before), original.replace(&line, after));
    let cases = [
        written(&line, &line),
        written(&format!("      digest: {zeros}\n"), &line),
        written(&format!("      digest:    {zeros}   # of the template\n"), &format!("      digest:    {digest}   # of the template\n")),
        written(&format!("      digest: \"{zeros}\"\n"), &format!("      digest: \"{digest}\"\n")),
        written(&format!("      'digest': '{zeros}' # x\n"), &format!("      'digest': '{digest}' # x\n")),
        written("      digest: \"\"\n", &format!("      digest: \"{digest}\"\n")),
        written("      digest: TODO\n", &format!("      digest: {digest}\n")),
        written("      digest:\n", &format!("      digest: {digest}\n")),
        written("      digest:   # later\n", &format!("      digest: {digest}   # later\n")),
        written("      digest: ~\n", &format!("      digest: {digest}\n")),
        written(&format!("      digest: &one !!str {zeros}\n"), &format!("      digest: &one !!str {digest}\n")),
        written(&format!("      digest: >-\n        {zeros}\n"), &format!("      digest: >-\n        {digest}\n")),
        // Absent: put in below the template that it is of.
        written("", &line),
        (
            original.replace(&format!("{block}{line}"), "    - templateId: 'tPlIntake0000001'   # the template\n      name: intake\n"),
            original.replace(
                &format!("{block}{line}"),
                &format!("    - templateId: 'tPlIntake0000001'   # the template\n{line}      name: intake\n"),
            ),
        ),
        (original.replace(&line, "").replace('\n', "\r\n"), original.replace('\n', "\r\n")),
        (
            format!("\u{feff}{}", original.replace(&line, "      digest: \"\"\n")),
            format!("\u{feff}{}", original.replace(&line, &format!("      digest: \"{digest}\"\n"))),
        ),
        (format!("# ñandú → 𝄞\n---\n{}", original.replace(&digest, &zeros)), format!("# ñandú → 𝄞\n---\n{original}")),
    ];
    let templates = templates(folder.path());
    for (before, after) in cases {
        let pinned = Schemas::read("s.yaml", before.as_bytes()).unwrap().pin(&templates, "sandbox").unwrap();
        assert_eq!(pinned.text, after);
        assert_eq!(pinned.pins.iter().filter(|pin| pin.differs()).count(), usize::from(before != after));
    }
}

#[test]
fn a_flow_mapping_and_json_are_pinned_too() {
    let folder = clinic();
    let original = fs::read_to_string(folder.path().join(SCHEMA)).unwrap();
    let templates = templates(folder.path());
    let document = mandate::offline::yaml::read(&original).unwrap().remove(0).value;
    let mut without = document.clone();
    for workflow in without["spec"]["workflows"].as_array_mut().unwrap() {
        workflow.as_object_mut().unwrap().remove("digest");
    }
    let text = serde_json::to_string_pretty(&without).unwrap();
    let pinned = Schemas::read("s.json", text.as_bytes()).unwrap().pin(&templates, "sandbox").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&pinned.text).unwrap(), document);
    assert_eq!(pinned.text.lines().count(), text.lines().count());
    let flow = format!(
        "{{apiVersion: mandate.dev/v1alpha1, kind: ProvisioningSchema, metadata: {{name: x}}, spec: {{constitutionVersion: '1.0', product: recepcionista-ia, \
         version: '1.0', revision: 1, workflows: [{{name: intake, templateId: tPlIntake0000001, nodeTypes: {}, webhooks: {}, substitutions: {}}}]}}}}\n",
        document["spec"]["workflows"][0]["nodeTypes"],
        document["spec"]["workflows"][0]["webhooks"],
        document["spec"]["workflows"][0]["substitutions"],
    );
    let pinned = Schemas::read("s.yaml", flow.as_bytes()).unwrap().pin(&templates, "sandbox").unwrap();
    let digest = digest_of_intake(&original);
    assert_eq!(pinned.text, flow.replace("tPlIntake0000001,", &format!("tPlIntake0000001, digest: {digest},")));
}

#[test]
fn what_only_its_author_can_change_is_named_and_nothing_is_written() {
    let folder = clinic();
    let original = fs::read_to_string(folder.path().join(SCHEMA)).unwrap();
    let digest = digest_of_intake(&original);
    let templates = templates(folder.path());
    let zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let reasons = |text: &str| {
        let problems = Schemas::read("s.yaml", text.as_bytes()).unwrap().pin(&templates, "sandbox").unwrap_err();
        problems.iter().map(|problem| (problem.reason, problem.line)).collect::<Vec<_>>()
    };
    for written in [format!("digest: \"\\x73{}\"", &zeros[1..]), "digest: 12".to_owned(), "digest: {a: b}".to_owned()] {
        assert_eq!(reasons(&original.replace(&format!("digest: {digest}"), &written)), [("NotEditable", 15)], "{written}");
    }
    // What the anchor stands for is another workflow's digest too.
    let second = original.rsplit("digest: ").next().unwrap().split('\n').next().unwrap();
    let shared = original
        .replace(&format!("digest: {digest}"), &format!("digest: &one {zeros}"))
        .replace(&format!("digest: {second}"), "digest: *one");
    assert_eq!(reasons(&shared), [("NotEditable", 42)]);
}

#[test]
fn pin_tells_each_workflow_writes_once_and_then_finds_nothing_to_do() {
    let (folder, file) = a_schema();
    let original = fs::read_to_string(&file).unwrap();
    let digest = digest_of_intake(&original);
    let zeros = format!("sha256:{}", "0".repeat(64));
    fs::write(&file, original.replace(&digest, &zeros)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let link = link.to_str().unwrap();

    let differs = format!("{link}:15: recepcionista-ia-1.0-r1 intake (template tPlIntake0000001): {zeros} -> {digest}\n");
    let checked = pin(link, folder.path(), &["--check"]);
    assert_eq!((checked.status.code(), said(&checked)), (Some(1), differs.as_str()));
    assert_ne!(fs::read_to_string(&file).unwrap(), original, "a check writes nothing");

    let written = pin(link, folder.path(), &[]);
    assert_eq!(written.status.code(), Some(0));
    let lines: Vec<&str> = said(&written).lines().collect();
    assert_eq!(lines[0], differs.trim_end());
    assert!(lines[1].ends_with(", unchanged") && lines.len() == 2, "{lines:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), original);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(link).unwrap().is_symlink());
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");

    let again = pin(link, folder.path(), &["--check"]);
    assert_eq!((again.status.code(), said(&again)), (Some(0), ""));
}

#[test]
fn each_reason_not_to_pin_names_place_value_and_remedy_and_nothing_is_written() {
    type Change = fn(&Path);
    fn edit(path: &Path, from: &str, to: &str) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }
    let cases: [(Change, &str); 9] = [
        (
            |folder| fs::remove_file(folder.join("sandbox/intake.json")).unwrap(),
            "F:14:19: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec.workflows[0].templateId: no template tPlIntake0000001 in D: correct \
             templateId, or export the template there [TemplateMissing]",
        ),
        (
            |folder| edit(&folder.join("sandbox/intake.json"), "n8n-nodes-base.switch", "n8n-nodes-base.executeCommand"),
            "F:17:9: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec.workflows[0].nodeTypes: D/intake.json holds a node of type \
             \"n8n-nodes-base.executeCommand\", which is not listed: add it, or take the node out [NodeTypeNotAllowed]",
        ),
        (
            |folder| edit(&folder.join("sandbox/intake.json"), "\"Greet caller\"", "\"Greet\""),
            "F:30:11: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec.workflows[0].substitutions[5]: D/intake.json: substitution \
             parameters.greeting: node \"Greet caller\" has nothing at /parameters/assignments/assignments/0/value: correct the node or the \
             pointer [SubstitutionUnmatched]",
        ),
        (
            |folder| edit(&folder.join("sandbox/intake.json"), "\"Patient updates\"", "\"Updates\""),
            "F:38:9: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec.workflows[0].webhooks: D/intake.json: webhook nodes are [\"Call \
             events\", \"Updates\"] but the schema lists [\"Call events\", \"Patient updates\"] [WebhooksDiffer]",
        ),
        (
            |folder| {
                let text = fs::read_to_string(folder.join("sandbox/intake.json")).unwrap();
                let path = text.split("\"path\": \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
                fs::write(folder.join("sandbox/intake.json"), text.replacen(&path, "acme-dental-intake", 1)).unwrap();
            },
            "F:14:19: error: ProvisioningSchema recepcionista-ia-1.0-r1: spec.workflows[0].templateId: D/intake.json: the path of webhook \"Call \
             events\" is \"acme-dental-intake\": a template's path is a bare UUID [TemplatePathNotBare]",
        ),
        (
            |folder| {
                let text = fs::read_to_string(folder.join("sandbox/intake.json")).unwrap();
                fs::write(folder.join("sandbox/intake.json"), format!("{text}{}", " ".repeat(2_097_153 - text.len()))).unwrap();
            },
            "D/intake.json: error: the template has 2097153 bytes, more than 2097152 bytes: it could not be read while provisioning; split it \
             [TemplateInvalid]",
        ),
        (
            |folder| fs::write(folder.join(SCHEMA), "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n").unwrap(),
            "F:1:1: error: the file holds no mandate.dev/v1alpha1 ProvisioningSchema: name the file of the schema [NoSchema]",
        ),
        (
            |folder| edit(&folder.join(SCHEMA), "      templateId: tPlIntake0000001\n", ""),
            "F:7:3: error: it does not have the shape of a ProvisioningSchema: missing field `templateId` [ShapeInvalid]",
        ),
        (
            |folder| edit(&folder.join(SCHEMA), "kind: ProvisioningSchema\n", "kind: ProvisioningSchema\nkind: x\n"),
            "F:4:1: error: key \"kind\" stands here twice, first on line 3 [DocumentInvalid]",
        ),
    ];
    for (change, expected) in cases {
        let (folder, file) = a_schema();
        change(folder.path());
        let before = fs::read_to_string(&file).unwrap();
        let output = pin(&file, folder.path(), &[]);
        let sandbox = folder.path().join("sandbox");
        let expected = expected.replace("D/", &format!("{}/", sandbox.display())).replace("F:", &format!("{file}:"));
        let expected = expected.replace(" in D:", &format!(" in {}:", sandbox.display()));
        assert_eq!((output.status.code(), said(&output).trim_end()), (Some(1), expected.as_str()));
        assert_eq!(std::str::from_utf8(&output.stderr).unwrap(), "nothing was written\n");
        assert_eq!(fs::read_to_string(&file).unwrap(), before);
    }
}

/// n8n on a socket, with the clinic's templates.
async fn n8n(folder: &Path) -> String {
    let mut options = SandboxOptions::new(Arc::new(SystemClock), Arc::new(RandomIdentifiers));
    options.templates = Some(folder.join("sandbox"));
    let sandbox = Sandbox::open(options).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/n8n", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, sandbox.router()).await });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_are_read_from_n8n_with_a_key_from_the_environment_or_a_file() {
    let (folder, file) = a_schema();
    let original = fs::read_to_string(&file).unwrap();
    let url = n8n(folder.path()).await;
    let run = |arguments: &[&str], key: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mandate"));
        command.args(["schema", "pin", &file, "--check"]).args(arguments).env_remove("N8N_API_KEY");
        if let Some(key) = key {
            command.env("N8N_API_KEY", key);
        }
        let output = command.output().unwrap();
        (output.status.code(), said(&output).to_owned(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--url", &url], Some(N8N_KEY)), (Some(0), String::new(), String::new()));
    let key_file = folder.path().join("key");
    fs::write(&key_file, format!("{N8N_KEY}\n")).unwrap();
    assert_eq!(run(&["--url", &format!("{url}/"), "--api-key-file", key_file.to_str().unwrap()], None).0, Some(0));

    let (code, _, error) = run(&["--url", &url], Some("wrong-key-1234"));
    assert_eq!(code, Some(1));
    assert!(error.contains("n8n answers 401 Unauthorized: make a new API key") && !error.contains("wrong-key-1234"), "{error}");
    let (code, _, error) = run(&["--url", &url], None);
    assert_eq!((code, error.trim_end()), (Some(2), "mandate: n8n asks for an API key: name --api-key-file or set N8N_API_KEY"));
    let (code, _, error) = run(&["--url", &url.replace("/n8n", "/nothing")], Some(N8N_KEY));
    assert!(code == Some(1) && error.contains("is this the base URL of n8n?"), "{code:?} {error}");
    let (code, _, error) = run(&["--url", "http://127.0.0.1:1"], Some(N8N_KEY));
    assert!(code == Some(3) && error.contains("the connection was refused"), "{code:?} {error}");

    fs::write(&file, original.replace("tPlBooking000001", "tPlBooking000009")).unwrap();
    let (code, told, _) = run(&["--url", &url], Some(N8N_KEY));
    assert_eq!(code, Some(1));
    assert!(told.contains(&format!("no template tPlBooking000009 in {url}: ")) && told.contains("[TemplateMissing]"), "{told}");
}

#[test]
fn lint_says_what_each_finding_protects_and_speaks_of_schemas_alone() {
    let output = mandate(&["schema", "lint", "examples/broken/schema-revision-not-propagable.yaml"], "");
    let expected = "examples/broken/schema-revision-not-propagable.yaml:86:42: error: ProvisioningSchema recepcionista-ia-1.0-r2: \
                    spec.voice.substitutions[0].source: parameters.welcome is asked for, other than in r1: live deployments cannot be brought there in \
                    place, publish it as a new version [RevisionNotPropagable]\n    protects 000 responsibility of the operator: rollback and \
                    upgrade timing\n2 schemas: refused\n";
    assert_eq!((output.status.code(), said(&output)), (Some(1), expected));

    let gap = mandate(&["schema", "lint", "-o", "json", "examples/broken/schema-revision-gap.yaml"], "");
    let findings: Value = serde_json::from_slice(&gap.stdout).unwrap();
    assert_eq!(gap.status.code(), Some(0), "a warning refuses nothing until it is asked to be strict");
    assert_eq!(
        (findings[0]["reason"].as_str(), findings[0]["protects"].as_str()),
        (Some("RevisionGap"), Some("000 guarantee 6, version-governed propagation"))
    );
    assert_eq!(mandate(&["schema", "lint", "--strict", "examples/broken/schema-revision-gap.yaml"], "").status.code(), Some(1));

    let beside = mandate(&["schema", "lint", "examples/broken/parameter-missing.yaml"], "");
    assert_eq!((beside.status.code(), said(&beside)), (Some(0), "1 schema: valid\n"), "the fault is the deployment's");
    assert_eq!(mandate(&["schema", "lint", "examples/clinic/10-tenant.yaml"], "").status.code(), Some(1));
}

/// One implementation: what lint says, validate says.
#[test]
fn lint_and_validate_agree_on_every_broken_schema() {
    let mut seen = 0;
    for path in crate::examples::files(&crate::examples::folder("broken"), ".yaml") {
        let name = format!("examples/broken/{}", path.file_name().unwrap().to_str().unwrap());
        if !name.contains("/schema-") {
            continue;
        }
        seen += 1;
        let reasons = |command: &[&str]| -> Vec<Value> {
            let output = mandate(&[command, &["-o", "json", &name]].concat(), "");
            serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap()
        };
        let linted = reasons(&["schema", "lint"]);
        assert!(linted.len() == 1 && linted[0]["protects"].is_string(), "{name}: {linted:?}");
        assert_eq!(linted, reasons(&["validate"]), "{name}");
    }
    assert!(seen >= 15, "{seen}");
}
