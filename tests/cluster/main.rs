//! Tests against a real Kubernetes API server. See CONTRIBUTING.md, "Tests on a real API server".
//!
//! A test that only asks shares one control plane with the others, in a namespace of its own, and runs beside them. A test
//! that restarts servers, changes rights, counts requests or runs the operator has a control plane of its own and runs
//! alone: what it measures is its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]
#![allow(clippy::disallowed_methods, reason = "where the tests run is told by the environment")]

mod clinic;
mod conformance;
mod contract;
mod control_plane;
mod crash;
mod embedded;
mod ends;
mod guards;
mod idle;
mod lossy;
mod notify;
mod ours;
mod parity;
mod proxy;
mod rbac;
mod readme;
mod recovery;
mod refusals;
mod release;
mod replicas;
mod rig;
mod rights;
mod server;
mod twins;

use std::process::ExitCode;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use control_plane::assets::Assets;

/// One test.
pub struct Test {
    name: &'static str,
    run: fn() -> BoxFuture<'static, ()>,
}

/// The tests of a module, by name.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$($crate::Test::new(concat!(module_path!(), "::", stringify!($name)), || Box::pin($name()))),*]
    };
}

impl Test {
    /// A test under its path.
    pub fn new(path: &'static str, run: fn() -> BoxFuture<'static, ()>) -> Self {
        Self { name: path.strip_prefix("cluster::").unwrap_or(path), run }
    }

    fn trial(self) -> Trial {
        Trial::test(self.name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on((self.run)());
            rights::none_refused()
        })
    }
}

/// Tests that share a control plane.
fn shared() -> Vec<Test> {
    [conformance::shared(), parity::shared(), refusals::shared(), server::shared()].into_iter().flatten().collect()
}

/// Tests that run one after the other, each with what it starts itself.
fn alone() -> Vec<Test> {
    let each = [
        conformance::alone(),
        parity::alone(),
        guards::alone(),
        rbac::alone(),
        release::alone(),
        server::alone(),
        readme::alone(),
        clinic::alone(),
        contract::alone(),
        replicas::alone(),
        crash::alone(),
        embedded::alone(),
        recovery::alone(),
        rights::alone(),
        idle::alone(),
    ];
    each.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (shared, alone) = (shared(), alone());
    if std::env::var("MANDATE_CLUSTER_TESTS").is_ok_and(|value| value == "off") {
        println!("{} cluster tests left out: MANDATE_CLUSTER_TESTS=off", shared.len() + alone.len());
        return ExitCode::SUCCESS;
    }
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if !arguments.list
        && let Err(problem) = Assets::prepare()
    {
        eprintln!("cluster tests: {problem}");
        return ExitCode::FAILURE;
    }
    let trials = |tests: Vec<Test>| tests.into_iter().map(Test::trial).collect();
    let one_by_one = Arguments { test_threads: Some(1), ..arguments.clone() };
    let beside = Arguments { test_threads: arguments.test_threads.or(Some(4)), ..arguments };
    let all = one_by_one.filter.is_none() && one_by_one.skip.is_empty();
    let mut alone: Vec<Trial> = trials(alone);
    if all {
        alone.push(rights::each_is_used());
    }
    let together = libtest_mimic::run(&beside, trials(shared));
    control_plane::shared::stop();
    refusals::stop();
    let each = libtest_mimic::run(&one_by_one, alone);
    if together.has_failed() || each.has_failed() { ExitCode::from(101) } else { ExitCode::SUCCESS }
}
