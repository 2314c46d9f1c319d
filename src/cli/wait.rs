//! `mandate wait`: until an object is in a state or a condition holds.

use std::time::Duration;

use clap::Args;
use kube::api::DynamicObject;
use kube::runtime::wait::await_condition;

use super::connect::{self, Connection};
use super::{CommandError, Ended, print};
use crate::model::pointer;

/// Arguments of `wait`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Kind, plural or short name
    resource: String,
    /// Name
    name: String,
    /// What to wait for: condition=TYPE[=STATUS] or state=STATE, for instance condition=Ready or state=MANUAL_VERIFICATION
    #[arg(long = "for", value_name = "WHAT")]
    what: String,
    /// Seconds to wait
    #[arg(long, default_value_t = 300)]
    timeout: u64,
    /// Namespace [default: that of the context]
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Condition { kind: String, status: String },
    State(String),
}

fn parse(text: &str) -> Result<What, CommandError> {
    let mut parts = text.splitn(3, '=');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("condition"), Some(kind), status) => {
            Ok(What::Condition { kind: kind.to_owned(), status: status.unwrap_or("True").to_owned() })
        }
        (Some("state"), Some(state), None) => Ok(What::State(state.to_owned())),
        _ => Err(CommandError::Usage(format!("--for {text:?}: say condition=TYPE, condition=TYPE=STATUS or state=STATE"))),
    }
}

fn holds(what: &What, object: &DynamicObject) -> bool {
    match what {
        What::State(state) => pointer::text(&object.data, "/status/state") == Some(state),
        What::Condition { kind, status } => {
            let conditions = object.data.pointer("/status/conditions").and_then(serde_json::Value::as_array);
            conditions.into_iter().flatten().any(|condition| condition["type"] == kind.as_str() && condition["status"] == status.as_str())
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(wait(arguments))
}

async fn wait(arguments: &Arguments) -> Result<Ended, CommandError> {
    let what = parse(&arguments.what)?;
    let resource = connect::resource_named(&arguments.resource)?;
    let (client, context_namespace) = arguments.connection.client().await?;
    let namespace = arguments.namespace.as_deref().unwrap_or(&context_namespace);
    let api = connect::api(client, resource, namespace);
    // A server that cannot be reached is said at once, not after the timeout.
    api.get_opt(&arguments.name).await.map_err(connect::request_error)?;
    let wanted = what.clone();
    let condition = move |object: Option<&DynamicObject>| object.is_some_and(|object| holds(&wanted, object));
    let waiting = await_condition(api, &arguments.name, condition);
    match tokio::time::timeout(Duration::from_secs(arguments.timeout), waiting).await {
        Ok(Ok(_)) => {
            print::line(&format!("{} {}: {}", resource.kind, arguments.name, arguments.what))?;
            Ok(Ended::Ok)
        }
        Ok(Err(error)) => Err(CommandError::Unreachable(format!("watching: {error}"))),
        Err(_) => {
            eprintln!("{} {}: not {} within {} s", resource.kind, arguments.name, arguments.what, arguments.timeout);
            Ok(Ended::Timeout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_a_condition_or_a_state() {
        let ready = |status: &str| What::Condition { kind: "Ready".into(), status: status.into() };
        assert_eq!(parse("condition=Ready").ok(), Some(ready("True")));
        assert_eq!(parse("condition=Ready=False").ok(), Some(ready("False")));
        assert_eq!(parse("state=COMPLETED").ok(), Some(What::State("COMPLETED".into())));
        for bad in ["", "Ready", "delete", "state=A=B"] {
            assert!(matches!(parse(bad), Err(CommandError::Usage(_))), "{bad}");
        }
    }
}
