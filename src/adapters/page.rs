//! The fault list as a page for people: `docs/failures.md`.

use std::fmt::Write as _;

use super::faults::{Classified, FaultRow, WriteEffect, faults};
use crate::model::call::ProviderType;
use crate::model::failure::FailureCode;

/// Sections in this order, each with its heading.
const ADAPTERS: [(ProviderType, &str); 4] = [
    (ProviderType::N8n, "n8n: workflows"),
    (ProviderType::Vapi, "VAPI: voice assistants"),
    (ProviderType::Calcom, "Cal.com: calendar subscriptions"),
    (ProviderType::Http, "Declared REST resources: CRM"),
];

const INTRODUCTION: &str = "\
# Failures

<!-- Generated from src/adapters/faults.rs; a test says when it is stale and how to write it anew. -->

Everything that can come between a call to another system and its result. A fault is classified before anything else happens, and each
classification is counted and recorded. There are three:

- **wait**: it passes. The same call is sent again at `Retry-After` or after a backoff, at most five minutes in all; then it is a failure of code
  `Unavailable`. A fault that leaves open whether something happened is looked up before anything is sent again.
- **FixableAutomatically(repair)**: one repair is known. It is tried once per attempt and step, with an audit record before and after, and the
  call is made again. What is still wrong then is `HumanActionRequired`, with the remedy below.
- **HumanActionRequired**: nothing happens by itself any more. The request is FAILED and its status says what to do.

| Repair | What is done |
|---|---|
| `CloneAgain` | The clone, proven to be ours, is removed and made again from its template under a new key. |
| `Reactivate` | The workflow is deactivated and activated. |
| `SetServerUrl` | The assistant is given its server URL. |

Refused or expired credentials are never repaired and never waited for. In the remedies `{provider}` stands for the name of the Provider object,
`{object}` for what the call was about with its external id, `{key}` for our key as that carries it, `{operation}` for the call, `<request>` for
the ProvisioningRequest whose status shows the failure.
";

/// The page, as it is committed.
#[must_use]
pub fn failures_page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (adapter, heading) in ADAPTERS {
        let _ = write!(page, "\n## {heading}\n\n| Fault | What is made of it | Code |\n|---|---|---|\n");
        for row in faults().filter(|row| row.providers.contains(&adapter)) {
            let code = code(row).map_or_else(|| "after five minutes `Unavailable`".to_owned(), |code| format!("`{code}`"));
            let _ = writeln!(page, "| [`{}`](#{}) | {} | {code} |", row.code, row.code.to_lowercase(), class(row));
        }
    }
    page.push_str("\n## Each fault\n");
    for row in faults() {
        let met: Vec<String> = row.providers.iter().map(|provider| format!("`{provider}`")).collect();
        let _ = write!(page, "\n### {}\n\n{}\n\n{}; met by {}.\n", row.code, row.occurs, class(row), met.join(", "));
        for (number, step) in (1..).zip(row.remediation) {
            let _ = writeln!(page, "{}{number}. {step}", if number == 1 { "\n" } else { "" });
        }
    }
    page
}

fn class(row: &FaultRow) -> String {
    match row.classified {
        Classified::HumanAction(_) => "HumanActionRequired".to_owned(),
        Classified::Repair(_, repair) => format!("FixableAutomatically(`{repair}`)"),
        Classified::Passing(WriteEffect::None) => "wait: nothing happened".to_owned(),
        Classified::Passing(WriteEffect::Possible) => "wait: a write may have happened".to_owned(),
    }
}

fn code(row: &FaultRow) -> Option<FailureCode> {
    match row.classified {
        Classified::HumanAction(code) | Classified::Repair(code, _) => Some(code),
        Classified::Passing(_) => None,
    }
}
