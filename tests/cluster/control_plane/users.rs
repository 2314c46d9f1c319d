//! Who asks, in the tests.

/// A user of the token file. The token is the name that files are called by, too.
#[derive(Debug)]
pub struct User {
    /// Bearer token.
    pub token: &'static str,
    /// User name.
    pub name: &'static str,
    /// Groups.
    pub groups: &'static [&'static str],
}

/// May do everything.
pub static ADMIN: User = User { token: "admin", name: "admin", groups: &["system:masters"] };
/// The operator itself: the service account that `mandate rbac` binds.
pub static CONTROLLER: User = User {
    token: "controller",
    name: "system:serviceaccount:mandate-system:mandate",
    groups: &["system:serviceaccounts", "system:serviceaccounts:mandate-system"],
};
/// A person who operates the platform.
pub static OPERATOR: User = User { token: "operator", name: "ben@acme-dental.example", groups: &["mandate.dev:operators"] };
/// A person with no rights but those that a test gives.
pub static NOBODY: User = User { token: "nobody", name: "mallory@acme-dental.example", groups: &[] };
/// A sync agent with rights that a test gives.
pub static AGENT: User = User { token: "agent", name: "system:serviceaccount:gitops:agent", groups: &["system:serviceaccounts"] };
/// The stock controllers; each then takes the credentials of its own service account.
pub static CONTROLLER_MANAGER: User = User { token: "controller-manager", name: "system:kube-controller-manager", groups: &[] };

/// A person who may delete records. (On a cluster this group is reached by impersonation and held by nobody.)
pub static GLASS_BREAKER: User = User { token: "glass-breaker", name: "carol@platform.example", groups: &["mandate.dev:break-glass"] };

/// Everyone in the token file.
pub static ALL: [&User; 7] = [&ADMIN, &CONTROLLER, &OPERATOR, &NOBODY, &AGENT, &CONTROLLER_MANAGER, &GLASS_BREAKER];

/// The token file, in kube-apiserver's CSV form.
pub fn token_file() -> String {
    ALL.iter().map(|user| format!("{},\"{}\",{},\"{}\"\n", user.token, user.name, user.token, user.groups.join(","))).collect()
}
