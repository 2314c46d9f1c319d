//! What is read, and what is said of more than one file.

use std::fs;
use std::path::Path;

use mandate::offline::folder::Folder;
use mandate::offline::validate::validate;

fn tenant(name: &str) -> String {
    format!("apiVersion: mandate.dev/v1alpha1\nkind: Tenant\nmetadata: {{name: {name}}}\nspec:\n  owners: [{{kind: User, name: ana}}]\n")
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What is said of a folder, each line from its file on.
fn problems(root: &Path) -> Vec<String> {
    let prefix = format!("{}/", root.display());
    let problems = validate(&Folder::read(&[root])).unwrap();
    problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
}

#[test]
fn folders_are_read_in_order_without_templates_and_hidden_ones() {
    let root = tempfile::tempdir().unwrap();
    for file in ["b/one.yaml", "a.yml", "c.json", "sandbox/not-a-manifest.json", ".git/x.yaml", "d/.hidden/x.yaml", "notes.txt"] {
        write(root.path(), file, "");
    }
    let folder = Folder::read(&[root.path()]);
    let names: Vec<&str> = folder.files.iter().map(|file| file.strip_prefix(root.path().to_str().unwrap()).unwrap()).collect();
    assert_eq!(names, ["/a.yml", "/b/one.yaml", "/c.json"]);
    assert_eq!(folder.sandboxes, [root.path().join("sandbox")]);
}

#[test]
fn a_link_that_leads_back_up_does_not_go_on_forever() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a/tenant.yaml", &tenant("acme"));
    std::os::unix::fs::symlink(root.path(), root.path().join("a/up")).unwrap();
    let folder = Folder::read(&[root.path()]);
    assert_eq!((folder.files.len(), folder.documents.len()), (1, 1));
}

#[test]
fn one_bad_document_does_not_hide_the_others() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "1.yaml", "a: [\n");
    write(
        root.path(),
        "2.yaml",
        &format!("kind: Tenent\napiVersion: mandate.dev/v1alpha1\n---\n{}---\n{}", tenant("acme"), tenant("kube.x")),
    );
    let said = problems(root.path());
    assert!(said[0].starts_with("1.yaml:") && said[0].ends_with("[DocumentInvalid]"), "{said:#?}");
    assert!(said[1].starts_with("2.yaml:1:7: error: ") && said[1].contains("mandate.dev/v1alpha1 Tenant"), "{said:#?}");
    assert!(said[2].starts_with("2.yaml:") && said[2].ends_with("[NameInvalid]"), "{said:#?}");
    assert_eq!(said.len(), 3, "{said:#?}");
}

#[test]
fn the_same_object_twice_is_refused_and_names_the_first() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "1.yaml", &tenant("acme"));
    write(root.path(), "2.yaml", &format!("# again\n{}", tenant("acme")));
    let first = root.path().join("1.yaml");
    let expected = format!("2.yaml:2:1: error: Tenant acme: the same object stands at {}:1: keep one [DuplicateObject]", first.display());
    assert_eq!(problems(root.path()), [expected.replace(&format!("{}/", root.path().display()), "")]);
}

#[test]
fn an_object_that_no_server_takes_is_refused_for_its_size() {
    let root = tempfile::tempdir().unwrap();
    let secret = |bytes: usize| {
        format!(
            "kind: Secret\napiVersion: v1\nmetadata: {{name: s, namespace: mandate-system}}\nstringData:\n  key: {}\n",
            "x".repeat(bytes)
        )
    };
    write(root.path(), "fits.yaml", &secret(1_000_000));
    assert_eq!(problems(root.path()), Vec::<String>::new());
    write(root.path(), "large.yaml", &secret(1_572_864));
    let said = problems(root.path());
    assert!(said.len() == 1 && said[0].starts_with("large.yaml:") && said[0].contains("bytes, more than 1572864"), "{said:.200?}");
}

#[test]
fn what_only_the_controller_makes_is_no_manifest() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "r.yaml", "kind: AuditRecord\napiVersion: mandate.dev/v1alpha1\nmetadata: {name: r, namespace: acme}\n");
    let expected =
        "r.yaml:1:1: error: AuditRecord acme/r: AuditRecord objects are made by the controller alone: remove it [MadeByController]";
    assert_eq!(problems(root.path()), [expected]);
}

#[test]
fn a_template_that_is_not_the_pinned_one_is_told_at_its_pin() {
    for (from, to, field, reason) in [
        // Not a place that is substituted: those do not count.
        ("\"responseNode\"", "\"onReceived\"", "spec.workflows[0].digest", "TemplateDrift"),
        ("n8n-nodes-base.set", "n8n-nodes-base.executeCommand", "spec.workflows[0].nodeTypes", "NodeTypeNotAllowed"),
        ("\"Call events\"", "\"Calls\"", "spec.workflows[0].webhooks", "WebhooksDiffer"),
        ("\"Clinic settings\"", "\"Settings\"", "spec.workflows[0].substitutions[0]", "SubstitutionUnmatched"),
    ] {
        let copy = super::clinic();
        let template = copy.path().join("sandbox/intake.json");
        let text = fs::read_to_string(&template).unwrap();
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{reason}");
        fs::write(&template, changed).unwrap();
        let found = validate(&Folder::read(&[copy.path()])).unwrap();
        let told = found.iter().any(|problem| problem.reason == reason && problem.field.as_deref() == Some(field) && problem.is_error());
        assert!(told, "{reason}: {found:#?}");
    }
}

#[test]
fn reading_again_says_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/broken");
    let said = problems(&root);
    assert!(said.len() > 20);
    assert_eq!(said, problems(&root));
}
