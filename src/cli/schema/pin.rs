//! `mandate schema pin`: digests of templates, from n8n or from exported files, into a schema's file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::adapters::transport::{HttpTransport, Request, Transport, TransportFault};
use crate::cli::{CommandError, Ended, Format, input, print};
use crate::model::canonical;
use crate::model::limits::{CALL_DEADLINE, MAX_REPLY_BYTES};
use crate::model::pointer;
use crate::offline::folder::STDIN;
use crate::offline::pin::{Pin, Schemas};
use crate::offline::problem::Problem;
use crate::offline::templates::{self, Templates};

/// Write the digests of the templates into a schema's file.
#[derive(Debug, clap::Args)]
#[group(id = "pin")]
pub(super) struct Arguments {
    /// File of the schema. Nothing but its digests changes.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Folder of templates as n8n exports them, one in each *.json.
    #[arg(long, value_name = "DIR", conflicts_with = "url", required_unless_present = "url")]
    templates: Option<PathBuf>,
    /// Base URL of n8n: https://n8n.example.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File that holds n8n's API key, `-` for the standard input [default: the environment's N8N_API_KEY].
    #[arg(long, value_name = "FILE", conflicts_with = "templates")]
    api_key_file: Option<PathBuf>,
    /// Write nothing; exit with 1 if a digest differs.
    #[arg(long)]
    check: bool,
    /// How pins are printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Ended, CommandError> {
    if arguments.file.as_os_str() == STDIN {
        return Err(CommandError::Usage("the digests are written into a file: name it".to_owned()));
    }
    let name = arguments.file.display().to_string();
    let bytes = input::bytes(&arguments.file)?;
    let schemas = match Schemas::read(&name, &bytes) {
        Ok(schemas) => schemas,
        Err(problems) => return refused(&problems),
    };
    let (templates, problems, source) = match (&arguments.templates, &arguments.url) {
        (Some(folder), _) => {
            let (templates, problems) = Templates::read(std::slice::from_ref(folder));
            (templates, problems, folder.display().to_string())
        }
        (None, Some(url)) => {
            let key = api_key(arguments.api_key_file.as_deref())?;
            let url = url.trim_end_matches('/');
            let (templates, problems) = crate::cli::runtime()?.block_on(fetched(&schemas.template_ids(), url, &key))?;
            (templates, problems, url.to_owned())
        }
        (None, None) => return Err(CommandError::Usage("name --templates or --url".to_owned())),
    };
    if !problems.is_empty() {
        return refused(&problems);
    }
    let pinned = match schemas.pin(&templates, &source) {
        Ok(pinned) => pinned,
        Err(problems) => return refused(&problems),
    };
    report(&pinned.pins, arguments)?;
    let differing = pinned.pins.iter().filter(|pin| pin.differs()).count();
    if arguments.check {
        return Ok(if differing == 0 { Ended::Ok } else { Ended::Findings });
    }
    if differing > 0 {
        replace(&arguments.file, &bytes, pinned.text.as_bytes()).map_err(|error| CommandError::Failed(format!("{name}: {error}")))?;
        eprintln!(
            "{name}: {} written; a revision that was published already is frozen, so publish these as the next",
            print::count(differing, "digest")
        );
    }
    Ok(Ended::Ok)
}

fn refused(problems: &[Problem]) -> Result<Ended, CommandError> {
    for problem in problems {
        print::line(problem)?;
    }
    eprintln!("nothing was written");
    Ok(Ended::Findings)
}

fn report(pins: &[Pin], arguments: &Arguments) -> Result<(), CommandError> {
    match arguments.output {
        Format::Table => pins.iter().filter(|pin| !arguments.check || pin.differs()).try_for_each(|pin| print::line(pin)),
        Format::Json | Format::Yaml => print::document(&pins, arguments.output),
    }
}

/// The key without what editors put after it.
fn api_key(file: Option<&Path>) -> Result<HeaderValue, CommandError> {
    #[allow(clippy::disallowed_methods, reason = "this is the command line, and a flag would show the key to everybody")]
    let text = match file {
        Some(path) => {
            String::from_utf8(input::bytes(path)?).map_err(|_| CommandError::Failed(format!("{}: the key is no text", path.display())))?
        }
        None => std::env::var("N8N_API_KEY")
            .map_err(|_| CommandError::Usage("n8n asks for an API key: name --api-key-file or set N8N_API_KEY".to_owned()))?,
    };
    let mut value =
        HeaderValue::from_str(text.trim()).map_err(|_| CommandError::Usage("the API key holds what no header may".to_owned()))?;
    if value.is_empty() {
        return Err(CommandError::Usage("the API key is empty".to_owned()));
    }
    value.set_sensitive(true);
    Ok(value)
}

/// The templates that n8n holds; one that it does not hold is missing from them.
async fn fetched(ids: &[&str], url: &str, key: &HeaderValue) -> Result<(Templates, Vec<Problem>), CommandError> {
    let transport = HttpTransport::new().map_err(|error| CommandError::Failed(error.to_string()))?;
    let (mut templates, mut problems) = (Templates::default(), Vec::new());
    // An identifier with anything else would lead to another path; the schema's own rules refuse it too.
    for id in ids.iter().filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        let place = format!("{url}/api/v1/workflows/{id}");
        match template(&transport, &place, key).await? {
            Some(Ok(workflow)) => templates.insert((*id).to_owned(), place, workflow),
            Some(Err(message)) => problems.push(Problem { reason: "TemplateInvalid", ..Problem::unreadable(&place, message) }),
            None => {}
        }
    }
    Ok((templates, problems))
}

/// One template, or what is wrong with it; none where n8n has none.
async fn template(transport: &HttpTransport, place: &str, key: &HeaderValue) -> Result<Option<Result<Value, String>>, CommandError> {
    let mut headers = HeaderMap::new();
    headers.insert("x-n8n-api-key", key.clone());
    let (timeout, max_reply_bytes) = (CALL_DEADLINE, MAX_REPLY_BYTES);
    let request = Request { method: Method::GET, url: place.to_owned(), headers, body: None, timeout, max_reply_bytes };
    let reply = match transport.send(request).await {
        Ok(reply) => reply,
        Err(TransportFault::ReplyTooLarge(_)) => return Ok(Some(Err(templates::too_large(None)))),
        Err(fault) => return Err(CommandError::Unreachable(format!("{place}: {fault}"))),
    };
    let document = || {
        let text = std::str::from_utf8(&reply.body).map_err(|error| error.to_string())?;
        canonical::parse(text).map_err(|error| format!("the reply is no workflow: {error}; is this the base URL of n8n?"))
    };
    let failed = |what: &str| Err(CommandError::Failed(format!("{place}: n8n answers {}: {what}", reply.status)));
    match reply.status {
        StatusCode::OK => Ok(Some(document())),
        // What is no n8n says so in other words.
        StatusCode::NOT_FOUND if document().is_ok_and(|said| pointer::text(&said, "/message") == Some("Not Found")) => Ok(None),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failed("make a new API key in its settings"),
        _ => failed("is this the base URL of n8n?"),
    }
}

/// Puts `text` in place of the file in one step: a reader sees the old file or the new one, whatever happens in between.
fn replace(path: &Path, before: &[u8], text: &[u8]) -> io::Result<()> {
    // A link stays a link.
    let path = fs::canonicalize(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_new(&beside, text, &path).and_then(|()| {
        if fs::read(&path)? != before {
            return Err(io::Error::other("the file was changed meanwhile: nothing was written, try again"));
        }
        fs::rename(&beside, &path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    });
    if written.is_err() {
        // It may not be there; what went wrong first is told.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_new(path: &Path, text: &[u8], like: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text)?;
    file.set_permissions(fs::metadata(like)?.permissions())?;
    file.sync_all()
}
