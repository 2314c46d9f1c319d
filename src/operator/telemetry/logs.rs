//! Logs as JSON, one flat object per line: the event's fields and those of the spans around it, the nearest first.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::engine::port::Clock;

/// Logs to stderr as JSON from now on. Once per process, and instead of logs for people.
pub fn log_json_to_stderr(clock: Arc<dyn Clock>, filter: EnvFilter) {
    tracing_subscriber::registry().with(filter).with(JsonLines::new(clock, std::io::stderr)).init();
}

/// A layer that writes each event as one line of JSON: `time`, `level`, `target`, `message`, then fields.
pub struct JsonLines<W> {
    clock: Arc<dyn Clock>,
    writer: W,
}

impl<W> JsonLines<W> {
    /// Lines to `writer`, with times of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, writer: W) -> Self {
        Self { clock, writer }
    }
}

/// Fields of a span or an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(tracing_subscriber::registry::Scope::from_root) {
            if let Some(Fields(fields)) = span.extensions().get::<Fields>() {
                line.0.extend(fields.clone());
            }
        }
        event.record(&mut line);
        // What says when and where is never shadowed by a field of the same name.
        let metadata = event.metadata();
        line.0.insert("time".to_owned(), format!("{:.6}", self.clock.now()).into());
        line.0.insert("level".to_owned(), metadata.level().to_string().into());
        line.0.insert("target".to_owned(), metadata.target().into());
        // In one write, so that lines of two threads do not mix. A log that cannot be written has nowhere to be reported.
        let text = format!("{}\n", Value::Object(line.0));
        let _ = self.writer.make_writer_for(metadata).write_all(text.as_bytes());
    }
}
