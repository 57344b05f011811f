//! The flags of klog, which every Go program of Kubernetes has, and the manifests of the Go webhook
//! use. `-v` sets the level; the others are accepted, and said once at start to have no effect.

use clap::Args;

use super::value::{Flag, FlagError};

/// The flags as they are typed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "klog's flags, for manifests of the Go webhook")]
pub(super) struct KlogFlags {
    /// Verbosity as klog counts it: 0 to 2 info, 3 and 4 debug, 5 and more trace
    #[arg(short = 'v', long = "v", value_name = "LEVEL")]
    v: Option<String>,
    /// No effect: the log always goes to standard error
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    logtostderr: Option<String>,
    /// No effect
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    alsologtostderr: Option<String>,
    /// No effect
    #[arg(long, hide = true)]
    alsologtostderrthreshold: Option<String>,
    /// No effect
    #[arg(long, hide = true)]
    stderrthreshold: Option<String>,
    /// No effect
    #[arg(long, hide = true)]
    vmodule: Option<String>,
    /// No effect
    #[arg(long = "log_dir", hide = true)]
    log_dir: Option<String>,
    /// No effect
    #[arg(long = "log_file", hide = true)]
    log_file: Option<String>,
    /// No effect
    #[arg(long = "log_file_max_size", hide = true)]
    log_file_max_size: Option<String>,
    /// No effect
    #[arg(long = "log_backtrace_at", hide = true)]
    log_backtrace_at: Option<String>,
    /// No effect
    #[arg(long = "skip_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_headers: Option<String>,
    /// No effect
    #[arg(long = "skip_log_headers", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    skip_log_headers: Option<String>,
    /// No effect
    #[arg(long = "add_dir_header", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    add_dir_header: Option<String>,
    /// No effect
    #[arg(long = "one_output", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    one_output: Option<String>,
    /// No effect
    #[arg(long = "legacy_stderr_threshold_behavior", hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    legacy_stderr_threshold_behavior: Option<String>,
}

// === impl KlogFlags ===

impl KlogFlags {
    /// The verbosity, if one was typed.
    pub(super) fn verbosity(&self) -> Result<Option<u8>, FlagError> {
        Flag::new("v", self.v.as_ref()).optional(|value| {
            value
                .parse::<i32>()
                .map(|v| u8::try_from(v.max(0)).unwrap_or(u8::MAX))
                .map_err(|_| "a whole number from 0 (info) to 5 (everything)")
        })
    }

    /// The flags that were typed and have no effect.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        let Self {
            v: _,
            logtostderr,
            alsologtostderr,
            alsologtostderrthreshold,
            stderrthreshold,
            vmodule,
            log_dir,
            log_file,
            log_file_max_size,
            log_backtrace_at,
            skip_headers,
            skip_log_headers,
            add_dir_header,
            one_output,
            legacy_stderr_threshold_behavior,
        } = self;
        [
            ("--logtostderr", logtostderr),
            ("--alsologtostderr", alsologtostderr),
            ("--alsologtostderrthreshold", alsologtostderrthreshold),
            ("--stderrthreshold", stderrthreshold),
            ("--vmodule", vmodule),
            ("--log_dir", log_dir),
            ("--log_file", log_file),
            ("--log_file_max_size", log_file_max_size),
            ("--log_backtrace_at", log_backtrace_at),
            ("--skip_headers", skip_headers),
            ("--skip_log_headers", skip_log_headers),
            ("--add_dir_header", add_dir_header),
            ("--one_output", one_output),
            ("--legacy_stderr_threshold_behavior", legacy_stderr_threshold_behavior),
        ]
        .into_iter()
        .filter(|(_, typed)| typed.is_some())
        .map(|(flag, _)| flag)
        .collect()
    }
}
