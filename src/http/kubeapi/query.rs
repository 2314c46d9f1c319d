//! Query parameters, as typed and as meant.

use std::str::FromStr;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{Method, Uri};

use super::status::Refusal;
use crate::engine::port::Cause;
use crate::world::server::FieldValidation;

/// How a list's or watch's `resourceVersion` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// That version or a newer one.
    NotOlderThan,
    /// That version.
    Exact,
}

/// What a Table row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

/// The parameters of one request. What is not named here is ignored, as the API server does.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
    /// The options that they are, as the API server names them when it refuses one: `ListOptions`.
    options: &'static str,
}

impl Parameters {
    /// Reads a query string.
    ///
    /// # Errors
    /// 400 when it is no list of pairs.
    pub fn parse(method: &Method, uri: &Uri) -> Result<Self, Refusal> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Refusal::bad_request(format!("the query string cannot be read: {error}")))?;
        let options = match *method {
            Method::POST => "CreateOptions",
            Method::PUT => "UpdateOptions",
            Method::PATCH => "PatchOptions",
            Method::DELETE => "DeleteOptions",
            _ => "ListOptions",
        };
        Ok(Self { pairs, options })
    }

    /// A parameter as typed; none when absent or empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        let number = |text: &str| text.parse().map_err(|_| Refusal::bad_request(format!("{name}: {text:?} is no whole number in range")));
        self.text(name).map(number).transpose()
    }

    /// A truth value; false when absent.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn truth(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.stated_truth(name)?.unwrap_or(false))
    }

    /// A truth value, none when absent.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn stated_truth(&self, name: &str) -> Result<Option<bool>, Refusal> {
        let truth = |text: &str| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(Refusal::bad_request(format!("{name}: {text:?} is neither true nor false"))),
        };
        self.text(name).map(truth).transpose()
    }

    /// `resourceVersionMatch`.
    ///
    /// # Errors
    /// 422 when it is unknown.
    pub fn version_match(&self) -> Result<Option<VersionMatch>, Refusal> {
        match self.text("resourceVersionMatch") {
            None => Ok(None),
            Some("NotOlderThan") => Ok(Some(VersionMatch::NotOlderThan)),
            Some("Exact") => Ok(Some(VersionMatch::Exact)),
            Some(other) => Err(self.unsupported("resourceVersionMatch", other, &["Exact", "NotOlderThan"])),
        }
    }

    /// `timeoutSeconds`.
    ///
    /// # Errors
    /// 400 when it is no whole number.
    pub fn timeout(&self) -> Result<Option<Duration>, Refusal> {
        Ok(self.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    }

    /// `dryRun`.
    ///
    /// # Errors
    /// 422 when it is anything but `All`.
    pub fn dry_run(&self) -> Result<bool, Refusal> {
        self.text("dryRun").map_or(Ok(false), |value| self.is_dry_run(value))
    }

    /// Whether a value of `dryRun` asks for a dry run.
    ///
    /// # Errors
    /// 422 when it is anything but `All`.
    pub fn is_dry_run(&self, value: &str) -> Result<bool, Refusal> {
        let message = || format!("Unsupported value: [{value:?}]: supported values: \"All\"");
        if value == "All" { Ok(true) } else { Err(self.refused("dryRun", "FieldValueNotSupported", message())) }
    }

    /// 422 in the words of field validation: a value that is not one of these.
    pub fn unsupported(&self, field: &str, value: &str, supported: &[&str]) -> Refusal {
        let supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        let message = format!("Unsupported value: {value:?}: supported values: {}", supported.join(", "));
        self.refused(field, "FieldValueNotSupported", message)
    }

    /// 422: a parameter that may not be stated.
    pub fn forbidden(&self, field: &str, why: &str) -> Refusal {
        self.refused(field, "FieldValueForbidden", format!("Forbidden: {why}"))
    }

    fn refused(&self, field: &str, reason: &'static str, message: String) -> Refusal {
        Refusal::invalid_options(self.options, Cause { field: field.to_owned(), reason, message })
    }

    /// `fieldValidation`.
    ///
    /// # Errors
    /// 422 when it is unknown.
    pub fn field_validation(&self) -> Result<FieldValidation, Refusal> {
        match self.text("fieldValidation") {
            None => Ok(FieldValidation::default()),
            Some("Ignore") => Ok(FieldValidation::Ignore),
            Some("Warn") => Ok(FieldValidation::Warn),
            Some("Strict") => Ok(FieldValidation::Strict),
            Some(other) => Err(self.unsupported("fieldValidation", other, &["", "Ignore", "Strict", "Warn"])),
        }
    }

    /// `includeObject`.
    ///
    /// # Errors
    /// 422 when it is unknown.
    pub fn include_object(&self) -> Result<IncludeObject, Refusal> {
        match self.text("includeObject") {
            None => Ok(IncludeObject::default()),
            Some("None") => Ok(IncludeObject::None),
            Some("Metadata") => Ok(IncludeObject::Metadata),
            Some("Object") => Ok(IncludeObject::Object),
            Some(other) => Err(Refusal::bad_request(format!("includeObject: {other:?} is none of \"Metadata\", \"None\" and \"Object\""))),
        }
    }
}
