//! The flags of a server that runs elsewhere: its arguments and its variables, not this process's.
//!
//! A server that runs has flags that some version can read, so one that this version cannot read is
//! left out, named without its value, and the others count.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use super::server::ServerFlags;
use super::{ENV_PREFIX, ServerSettings, Typed};

/// The flags of a server that runs elsewhere.
#[derive(Clone, Debug)]
pub struct Installed {
    /// As they are used.
    pub settings: Box<ServerSettings>,
    /// Those that could not be read; their defaults count.
    pub unread: Vec<Box<str>>,
}

/// The command line of a server, without the other commands: they would take every stray word for
/// theirs.
#[derive(Debug, Parser)]
#[command(name = "pod-identity-webhook", version, args_override_self = true)]
struct Server {
    #[command(flatten)]
    flags: ServerFlags,
}

/// What is wrong with a command line.
enum Wrong {
    /// This argument, as it stands or up to its `=`.
    Argument(String),
    /// The value of this flag.
    Value(&'static str),
    /// It is not that of a server.
    NoServer,
}

/// Reads the flags of a server from its variables `PODIDENTITY_*` and its arguments, the program's
/// name left out. `None` if they are those of another command.
pub fn installed(variables: &[(&str, &str)], args: Vec<String>) -> Option<Installed> {
    let is_command = |name: &String| Typed::command().find_subcommand(name).is_some();
    if args.first().is_some_and(is_command) {
        return None;
    }
    let mut args: Vec<_> = flags(variables, &args).into_iter().chain(args).collect();
    let mut unread: Vec<Box<str>> = Vec::new();
    // Each round leaves out one argument, or one flag's value.
    for _ in 0..=2 * args.len() {
        match read(&args) {
            Ok(settings) => return Some(Installed { settings, unread }),
            Err(Wrong::NoServer) => return None,
            Err(Wrong::Argument(wrong)) => {
                let is_it = |arg: &String| {
                    let rest = arg.strip_prefix(&wrong);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
                };
                let Some(at) = args.iter().position(is_it) else { break };
                args.remove(at);
                // What stood behind a flag is its value, and nobody's business.
                if wrong.starts_with('-') {
                    unread.push(wrong.into());
                }
            }
            Err(Wrong::Value(flag)) => {
                unread.push(format!("--{flag}").into());
                args.push(format!("--{flag}="));
            }
        }
    }
    unread.push("all flags".into());
    Some(Installed { settings: defaults(), unread })
}

/// The settings of a server without flags.
pub fn defaults() -> Box<ServerSettings> {
    #[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
    let settings = ServerFlags::default().settings().expect("defaults are allowed");
    Box::new(settings)
}

fn read(args: &[String]) -> Result<Box<ServerSettings>, Wrong> {
    let program = "pod-identity-webhook".to_owned();
    // Without `with_env`: the variables of this process are not those of the server.
    let matches = Server::command().try_get_matches_from([&program].into_iter().chain(args));
    let typed = matches.and_then(|matches| Server::from_arg_matches(&matches));
    let Server { flags } = typed.map_err(|error| Wrong::of(&error))?;
    flags.settings().map(Box::new).map_err(|error| Wrong::Value(error.flag()))
}

/// The variables as flags: a flag beats its variable, so they stand in front, and where flags add up
/// they count only without one.
fn flags(variables: &[(&str, &str)], args: &[String]) -> Vec<String> {
    let command = Server::command();
    let flag = |arg: &clap::Arg| {
        let long = arg.get_long()?;
        let name = long.to_uppercase().replace('-', "_");
        let is_it = |variable: &str| variable.strip_prefix(ENV_PREFIX) == Some(name.as_str());
        let (_, value) = variables.iter().find(|(variable, _)| is_it(variable))?;
        let adds_up = matches!(arg.get_action(), clap::ArgAction::Append);
        let given = args.iter().any(|arg| arg.starts_with(&format!("--{long}")));
        (!(adds_up && given)).then(|| format!("--{long}={value}"))
    };
    command.get_arguments().filter_map(flag).collect()
}

// === impl Wrong ===

impl Wrong {
    fn of(error: &clap::Error) -> Self {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => Some(text.clone()),
            Some(ContextValue::Strings(texts)) => texts.first().cloned(),
            _ => None,
        };
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Self::NoServer;
        }
        // `--port <PORT>` where a value is missing.
        let arg = context(ContextKind::InvalidArg).unwrap_or_default();
        Self::Argument(arg.split([' ', '=']).next().unwrap_or_default().to_owned())
    }
}
