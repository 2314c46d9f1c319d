//! `mandate get`: objects as the API server's own columns show them.

use clap::{Args, ValueEnum};
use http::Request;
use serde_json::Value;

use super::connect::{self, Connection};
use super::{CommandError, Ended, Format, print};

/// Arguments of `get`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Kind, plural or short name: tenants, preq, ...
    resource: String,
    /// Only this object
    name: Option<String>,
    /// Namespace [default: that of the context]
    #[arg(short, long)]
    namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Label selector
    #[arg(short = 'l', long, default_value = "")]
    selector: String,
    /// How results are printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Wide,
    Json,
    Yaml,
    Name,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    super::runtime()?.block_on(get(arguments))
}

async fn get(arguments: &Arguments) -> Result<Ended, CommandError> {
    let resource = connect::resource_named(&arguments.resource)?;
    let (client, context_namespace) = arguments.connection.client().await?;
    let namespace = if arguments.all_namespaces { "" } else { arguments.namespace.as_deref().unwrap_or(&context_namespace) };
    let mut path = connect::path(resource, namespace);
    match &arguments.name {
        Some(name) => path.push_str(&format!("/{name}")),
        None if !arguments.selector.is_empty() => {
            let query: String = url_encoded(&arguments.selector);
            path.push_str(&format!("?labelSelector={query}"));
        }
        None => {}
    }
    let accept = match arguments.output {
        Output::Table | Output::Wide => "application/json;as=Table;v=v1;g=meta.k8s.io",
        Output::Json | Output::Yaml | Output::Name => "application/json",
    };
    let request = Request::get(&path).header("accept", accept).body(Vec::new());
    let request = request.map_err(|error| CommandError::Usage(format!("{path}: {error}")))?;
    let reply: Value = client.request(request).await.map_err(connect::request_error)?;
    match arguments.output {
        Output::Table => table(&reply, false, arguments.all_namespaces)?,
        Output::Wide => table(&reply, true, arguments.all_namespaces)?,
        Output::Json => print::document(&reply, Format::Json)?,
        Output::Yaml => print::document(&reply, Format::Yaml)?,
        Output::Name => {
            let items = reply.get("items").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![reply.clone()]);
            for item in items {
                print::line(&format!("{resource}/{}", item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()))?;
            }
        }
    }
    Ok(Ended::Ok)
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The server's table, with the columns that were asked for.
fn table(reply: &Value, wide: bool, namespaces: bool) -> Result<(), CommandError> {
    let list = |field: &str| reply.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = list("columnDefinitions");
    let shown: Vec<usize> = (0..columns.len())
        .filter(|index| wide || columns.get(*index).and_then(|column| column.get("priority")).and_then(Value::as_i64).unwrap_or(0) == 0)
        .collect();
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let pick = |cells: &[Value], first: Option<String>| first.into_iter().chain(shown.iter().map(|index| text(cells.get(*index)))).collect::<Vec<_>>();
    let headings: Vec<Value> = columns.iter().map(|column| text(column.get("name")).to_uppercase().into()).collect();
    let mut rows = vec![pick(&headings, namespaces.then(|| "NAMESPACE".to_owned()))];
    for row in list("rows") {
        let cells = row.get("cells").and_then(Value::as_array).cloned().unwrap_or_default();
        rows.push(pick(&cells, namespaces.then(|| text(row.pointer("/object/metadata/namespace")))));
    }
    if rows.len() == 1 {
        eprintln!("No resources found.");
        return Ok(());
    }
    print::table(&rows)
}
