//! What is said while a command runs: a progress bar and notes on stderr, lines in the log file, and the
//! result, alone, on stdout.

use super::args::Output;
use super::interrupt;
use super::record::Taping;
use crate::engine::Cancel;
use crate::error::{Context, Error, Result};
use crate::report::{Format, OutFile, Report};
use crate::session::{Header, utc};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::time::{Duration, Instant, SystemTime};

/// One command's way of speaking. Made before anything is computed, so that an unwritable file is known first.
pub struct Console {
    json: bool,
    quiet: bool,
    out: Option<OutFile>,
    log: Option<File>,
    bar: Option<ProgressBar>,
    stage: String,
    started: Instant,
    pub cancel: Cancel,
    /// The command's recording, if it makes one.
    pub tape: Taping,
}

/// Says on stderr what must not be overheard, beside a bar that may be there.
pub struct Voice {
    bar: Option<ProgressBar>,
    json: bool,
}

impl Voice {
    /// A sentence, whatever `--quiet` says; a closed stderr is no reason to stop.
    pub fn warn(&self, sentence: &str) {
        let line = match self.json {
            true => serde_json::json!({ "event": "note", "text": sentence }).to_string(),
            false => format!("warning: {sentence}"),
        };
        let say = || drop(writeln!(std::io::stderr(), "{line}"));
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }
}

impl Console {
    /// Opens the log file and prepares the result's file, in one of the formats that every result has.
    ///
    /// # Errors
    /// Usage for an unknown extension of `--out`; Failed where a file cannot be written.
    pub fn open(output: &Output) -> Result<Self> {
        Self::open_for(output, &Format::COMMON)
    }

    /// As [`Console::open`], for a result that has these formats.
    ///
    /// # Errors
    /// As [`Console::open`].
    pub fn open_for(output: &Output, formats: &[Format]) -> Result<Self> {
        let open_log = |path: &std::path::PathBuf| {
            let file = File::options().create(true).append(true).open(path);
            file.with_context(|| format!("--log {}: cannot be written", path.display()))
        };
        let bar = (!output.quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(12));
            bar.set_style(spinner());
            bar.enable_steady_tick(Duration::from_millis(150));
            bar
        });
        let mut console = Self {
            json: output.json,
            quiet: output.quiet,
            out: output.out.as_deref().map(|path| OutFile::prepare(path, formats)).transpose()?,
            log: output.log.as_ref().map(open_log).transpose()?,
            bar,
            stage: String::new(),
            started: Instant::now(),
            cancel: interrupt::cancel(),
            tape: Taping::default(),
        };
        let words: Vec<String> = std::env::args().collect();
        console.log(&format!("polylens {} started: {}", env!("CARGO_PKG_VERSION"), words.join(" ")));
        Ok(console)
    }

    /// Begins the command's recording, if a file for one was named. With `json` a warning is a line for scripts.
    ///
    /// # Errors
    /// The file is there already or cannot be written; what `header` says.
    pub fn record(
        &mut self,
        path: Option<&std::path::Path>,
        json: bool,
        header: impl FnOnce() -> Result<Header>,
    ) -> Result<Taping> {
        if path.is_some() {
            interrupt::full_files_are_errors();
        }
        self.tape = Taping::begin(path, header, Voice { bar: self.bar.clone(), json })?;
        Ok(self.tape.clone())
    }

    /// Shows and records where a job is (`total` 0 = unknown).
    pub fn progress(&mut self, stage: &str, done: u64, total: u64, unit: &str) {
        self.tape.progress(stage, done, total, unit);
        self.show(stage, done, total, unit);
    }

    /// Shows where a job is; a new stage is logged once.
    pub fn show(&mut self, stage: &str, done: u64, total: u64, unit: &str) {
        if self.stage != stage {
            self.stage = stage.to_owned();
            self.log(stage);
            if let Some(bar) = &self.bar {
                bar.reset();
                bar.set_style(if total == 0 {
                    spinner()
                } else if unit == "bytes" {
                    bytes()
                } else {
                    counter()
                });
                bar.set_message(stage.to_owned());
            }
        }
        if let Some(bar) = &self.bar {
            if total > 0 {
                bar.set_length(total);
            }
            bar.set_position(done);
        }
    }

    /// Shows a training run's steps and a line of its numbers.
    pub fn training(&mut self, done: u64, total: u64, text: &str) {
        if self.stage != "training" {
            self.stage = "training".to_owned();
            self.log("training");
            if let Some(bar) = &self.bar {
                bar.reset();
                bar.set_style(steps());
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(text.to_owned());
        }
    }

    /// A sentence for the user, on stderr, unless `--quiet`.
    pub fn note(&mut self, sentence: &str) {
        self.log(sentence);
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("note: {sentence}")),
            // A closed stderr is no reason to stop.
            None => drop(writeln!(std::io::stderr(), "note: {sentence}")),
        }
    }

    /// Appends a line with the time to the log file, if there is one.
    pub fn log(&mut self, line: &str) {
        if let Some(file) = &mut self.log {
            // A full disk must not stop the computation; the result's own file reports it.
            let _ = writeln!(file, "{} {}", utc(SystemTime::now()), line.replace('\n', " "));
        }
    }

    /// Writes the result's file and prints the result.
    ///
    /// # Errors
    /// When the file or stdout cannot be written. A closed pipe on stdout is no error.
    pub fn finish(mut self, report: &dyn Report) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let Some(out) = self.out.take() {
            let format = out.format();
            let path = out.path().display().to_string();
            out.write(&report.render(format)?)?;
            if format == Format::Png {
                self.missing_glyphs(report);
            }
            self.note(&format!("wrote {path}"));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        self.log(&format!("done in {seconds:.1} s"));
        let text = if self.json { report.json()? } else { report.text(stdout_width()) };
        print(&text)
    }

    /// Writes a document that has one form only to the result's file, or prints it where none was named; `said`
    /// is told in the first case.
    ///
    /// # Errors
    /// As [`Console::finish`].
    pub fn finish_document(mut self, text: &str, said: impl FnOnce() -> String) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let Some(out) = self.out.take() else { return print(text) };
        let path = out.path().display().to_string();
        out.write(text.as_bytes())?;
        self.note(&format!("wrote {path}, {}", said()));
        Ok(())
    }

    /// Says which characters of a picture no font on this machine can draw.
    fn missing_glyphs(&mut self, report: &dyn Report) {
        let missing = crate::report::plot::png::missing_glyphs(report.picture().words());
        if !missing.is_empty() {
            let shown: String = missing.iter().take(12).collect();
            self.note(&format!(
                "no font on this machine draws {shown}: install one (e.g. Noto) and write the PNG again, or write \
                 .svg and open it in a browser"
            ));
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Prints text to stdout; a closed pipe (`| head`) is success.
///
/// # Errors
/// Any other failure to write, such as a full disk behind a redirection.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Failed(format!("cannot write to stdout: {e}")))
        }
        _ => Ok(()),
    }
}

/// Columns of the terminal on stdout; 100 for files and pipes.
pub fn stdout_width() -> usize {
    if !std::io::stdout().is_terminal() {
        return 100;
    }
    ratatui::crossterm::terminal::size().map_or(80, |(columns, _)| usize::from(columns).max(20))
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} [{elapsed}]")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn counter() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} [{elapsed}, {eta} left]")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn steps() -> ProgressStyle {
    ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn bytes() -> ProgressStyle {
    ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} [{elapsed}, {eta} left]")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
