//! A child process that cannot outlive us, however we end.
//!
//! Each one runs under a keeper, a few lines of shell that read a pipe whose only write end we
//! hold. When the pipe closes, because a [`Process`] was dropped or because this process was
//! killed, the keeper kills its child. Rust opens every descriptor close-on-exec, so no other child
//! holds the pipe open. The keeper has a process group of its own: a signal to our group, such as
//! the terminal's on Ctrl-C, does not reach it before it has done its work.
//!
//! When the child ends by itself the keeper, which waits for it, ends with the same status.

use std::{
    ffi::OsStr,
    fs::OpenOptions,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};

/// Runs `"$@"`, prints its pid, passes on the signals that the pipe names, kills it at the pipe's
/// end. A background command of `sh` has no standard input unless it is given one, hence 3.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
"$@" >&2 3<&- &
child=$!
echo "$child"
exec >/dev/null
{
  while read -r signal <&3; do kill -s "$signal" "$child"; done
  kill -s KILL "$child"
} 2>/dev/null &
watch=$!
exec 3<&-
wait "$child"
status=$?
kill "$watch" 2>/dev/null
wait "$watch" 2>/dev/null
exit "$status"
"#;

/// A signal that a running program can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: end in good order.
    Terminate,
    /// SIGINT: what Ctrl-C sends. A program that has no handler for it ignores it here, as every
    /// background command of a shell does.
    Interrupt,
    /// SIGKILL: end at once.
    Kill,
    /// SIGSTOP: hang, with every socket open.
    Stop,
    /// SIGCONT: go on after [`Signal::Stop`].
    Continue,
}

/// A running program, its log file and its keeper.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    pid: u32,
    keeper: Child,
    pipe: Option<ChildStdin>,
    log: PathBuf,
}

/// What to run.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// What errors call it.
    pub(crate) name: &'a str,
    /// The binary.
    pub(crate) binary: &'a Path,
    /// Its arguments.
    pub(crate) args: &'a [String],
    /// Variables besides the inherited ones.
    pub(crate) env: &'a [(String, String)],
    /// The file that its output is appended to.
    pub(crate) log: &'a Path,
}

// === impl Signal ===

impl Signal {
    /// As `kill -s` spells it.
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

// === impl Process ===

impl Process {
    /// Starts `program` under a keeper of its own.
    pub(crate) fn start(program: &Program<'_>) -> Result<Self> {
        let Program { name, binary, args, env, log } = program;
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "keeper"]).arg(binary).args(*args);
        for inherited in std::env::vars_os().map(|(key, _)| key).filter(|key| misleads(key)) {
            command.env_remove(inherited);
        }
        command.envs(env.iter().cloned());
        command.process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        let mut keeper = command.spawn().with_context(|| format!("cannot start {name}"))?;

        let pipe = keeper.stdin.take();
        let mut first_line = String::new();
        let stdout = keeper.stdout.take().context("a keeper without a standard output")?;
        BufReader::new(stdout).read_line(&mut first_line)?;
        let pid = first_line
            .trim()
            .parse()
            .with_context(|| format!("the keeper of {name} did not name a process"))?;
        Ok(Self { name: (*name).to_owned(), pid, keeper, pipe, log: log.to_path_buf() })
    }

    /// The process id of the program itself, not of its keeper.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// The file that has its output.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Sends a signal. It is an error when the program has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        let pipe = self.pipe.as_mut().context("the pipe to the keeper is closed")?;
        writeln!(pipe, "{}", signal.name())
            .with_context(|| format!("{} has ended before the signal", self.name))
    }

    /// Waits, on this thread, until the program ends by itself.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.keeper.wait()?)
    }

    /// The exit status if the program has ended. 128 + n stands for an end by signal n.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.keeper.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The keeper has killed its child once it is gone itself: nothing else can be done here
        // if even that fails.
        let _ = self.keeper.wait();
    }
}

/// Whether a variable of this process would change what a test sees: a proxy in front of loopback,
/// a flag of the webhook, or the way to somebody's real cluster.
fn misleads(key: &OsStr) -> bool {
    let key = key.to_ascii_uppercase();
    let key = key.as_encoded_bytes();
    key.ends_with(b"_PROXY") || key.starts_with(b"PODIDENTITY_") || key == b"KUBECONFIG"
}
