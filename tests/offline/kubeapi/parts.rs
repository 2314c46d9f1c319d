//! Pieces that need no server: ages, paths, tokens, kubeconfig.

use jiff::{SignedDuration, Timestamp};
use mandate::http::auth::{Authenticator, TokenFile, TokenProblem};
use mandate::http::kubeapi::age::age;
use mandate::http::kubeapi::json_path::JsonPath;
use mandate::http::kubeconfig;
use serde_json::{Value, json};

#[test]
fn ages_are_written_as_kubectl_writes_them() {
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let (minute, hour, day) = (60, 3600, 86_400);
    let table = [
        (-2, "<invalid>"),
        (-1, "0s"),
        (0, "0s"),
        (119, "119s"),
        (2 * minute, "2m"),
        (5 * minute + 7, "5m7s"),
        (10 * minute + 7, "10m"),
        (179 * minute, "179m"),
        (3 * hour + 5 * minute, "3h5m"),
        (8 * hour + 5 * minute, "8h"),
        (47 * hour, "47h"),
        (2 * day + 3 * hour, "2d3h"),
        (7 * day, "7d"),
        (8 * day + 3 * hour, "8d"),
        (729 * day, "729d"),
        (731 * day, "2y1d"),
        (9 * 365 * day, "9y"),
    ];
    for (seconds, expected) in table {
        assert_eq!(age(now - SignedDuration::from_secs(seconds), now), expected, "{seconds} s");
    }
}

#[test]
fn paths_lead_where_the_api_server_finds_values() {
    let document = json!({
        "spec": {"list": ["a", "b", "c"], "n": 3, "dotted.key": "d", "items": [{"x": 1, "y": "one"}, {"x": 2, "y": "two"}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Stalled", "status": "False"}]},
    });
    let table: [(&str, &[Value]); 15] = [
        (".spec.n", &[json!(3)]),
        ("{.spec.n}", &[json!(3)]),
        ("spec.n", &[json!(3)]),
        (".spec.list[0]", &[json!("a")]),
        (".spec.list[-1]", &[json!("c")]),
        (".spec.list[3]", &[]),
        (".spec.list[*]", &[json!("a"), json!("b"), json!("c")]),
        (".spec['dotted.key']", &[json!("d")]),
        (".spec.dotted\\.key", &[json!("d")]),
        (".status.conditions[?(@.type==\"Ready\")].status", &[json!("True")]),
        (".status.conditions[?(@.type=='Stalled')].status", &[json!("False")]),
        (".status.conditions[?(@.type != 'Ready')].type", &[json!("Stalled")]),
        (".spec.items[?(@.x==2)].y", &[json!("two")]),
        (".spec.items[?(@.x==9)].y", &[]),
        (".spec.absent.deeper[0]", &[]),
    ];
    for (path, expected) in table {
        let found: Vec<Value> = JsonPath::parse(path).unwrap().find(&document).into_iter().cloned().collect();
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn a_path_outside_the_subset_is_refused_with_its_place() {
    for path in [".a..b", ".a[", ".a[x]", ".a[?(@.b>1)]", ".a[?(@.b=='x']", ".a['b]", ".a['b'"] {
        let error = JsonPath::parse(path).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(" at "), "{error}");
    }
}

#[test]
fn a_token_file_knows_users_and_groups() {
    let file = TokenFile::parse("t1,ada,1,\"staff, mandate.dev:operators\"\n\n\"t,2\",\"b\"\"ob\",2\nt3,carl,3,single\n").unwrap();
    let known = |token: &str| file.authenticate(token).map(|identity| (identity.username, identity.groups));
    assert_eq!(known("t1"), Some(("ada".into(), vec!["staff".into(), "mandate.dev:operators".into()])));
    assert_eq!(known("t,2"), Some(("b\"ob".into(), vec![])));
    assert_eq!(known("t3"), Some(("carl".into(), vec!["single".into()])));
    for stranger in ["", "t", "t11", "T1", "ada"] {
        assert_eq!(known(stranger), None, "{stranger:?}");
    }
}

#[test]
fn a_token_file_that_cannot_be_read_names_the_line_but_never_the_token() {
    let table = [
        ("secret,ada", 1, TokenProblem::Columns),
        ("ok,ada,1\n,bob,2", 2, TokenProblem::EmptyToken),
        ("ok,ada,1\nsecret,,2", 2, TokenProblem::EmptyUser),
        ("secret,ada,1\n\nsecret,bob,2", 3, TokenProblem::Repeated),
        ("secret,ada,1,\"a,b", 1, TokenProblem::Quote),
        ("secret,a\"da,1", 1, TokenProblem::Quote),
    ];
    for (text, line, problem) in table {
        let error = TokenFile::parse(text).err().unwrap();
        assert_eq!((error.line, error.problem), (line, problem), "{text}");
        assert!(error.to_string().contains(&format!("line {line}")) && !error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn the_kubeconfig_is_one_that_the_kube_client_reads() {
    let text = kubeconfig::render("127.0.0.1:8181".parse().unwrap(), "pem", "a \"quoted\": token");
    let config = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    assert_eq!(config.current_context.as_deref(), Some("mandate"));
    let cluster = config.clusters[0].cluster.as_ref().unwrap();
    assert_eq!(cluster.server.as_deref(), Some("https://127.0.0.1:8181"));
    assert_eq!(cluster.certificate_authority_data.as_deref(), Some("cGVt"));
    let token = serde_json::to_value(&config.auth_infos[0].auth_info).unwrap()["token"].clone();
    assert_eq!(token, "a \"quoted\": token");
}
