//! The real binary in a pseudo-terminal, seen through a terminal emulator.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Longest wait for anything: generous, since the machine may be busy. Nothing waits this long when
/// all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What has come out so far.
pub struct Output {
    pub parser: vt100::Parser,
    pub raw: Vec<u8>,
    closed: bool,
}

/// A running polylens.
pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    output: Arc<(Mutex<Output>, Condvar)>,
    /// Empty caches, so that no model of this machine is found.
    _home: tempfile::TempDir,
}

/// How to start it.
pub struct Start<'a> {
    pub args: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
    pub size: (u16, u16),
    /// A shell's script that starts "$0" "$@", where it is not started at once.
    pub shell: Option<&'a str>,
}

impl Default for Start<'_> {
    fn default() -> Self {
        Self { args: &[], env: &[], size: (80, 24), shell: None }
    }
}

impl Session {
    /// Starts the program with empty caches.
    pub fn start(start: &Start) -> Self {
        let (cols, rows) = start.size;
        let pair = native_pty_system()
            .openpty(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal");
        let home = tempfile::tempdir().expect("a temporary directory");
        let program = env!("CARGO_BIN_EXE_polylens");
        let mut command = CommandBuilder::new(if start.shell.is_some() { "/bin/sh" } else { program });
        if let Some(script) = start.shell {
            command.args(["-c", script, program]);
        }
        command.args(start.args);
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("HOME", home.path());
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        for (name, value) in start.env {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let reader = pair.master.try_clone_reader().expect("a reader");
        let writer = pair.master.take_writer().expect("a writer");
        let parser = vt100::Parser::new(rows, cols, 0);
        let output =
            Arc::new((Mutex::new(Output { parser, raw: Vec::new(), closed: false }), Condvar::new()));
        read_into(reader, output.clone());
        Self { child, master: pair.master, writer, output, _home: home }
    }

    /// Types bytes.
    pub fn send(&mut self, bytes: &str) {
        self.writer.write_all(bytes.as_bytes()).expect("the terminal takes input");
        self.writer.flush().expect("the terminal takes input");
    }

    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.0.lock().expect("the reader lives")
    }

    /// Waits until the output satisfies `test`; returns how long it took.
    pub fn wait_until(&self, what: &str, test: impl Fn(&Output) -> bool) -> Duration {
        let start = Instant::now();
        let mut output = self.lock();
        while !test(&output) {
            let left = PATIENCE.checked_sub(start.elapsed());
            let shown = output.parser.screen().contents();
            let Some(left) = left else { panic!("waited in vain for {what}; the screen shows:\n{shown}") };
            assert!(!output.closed, "the program ended while waiting for {what}; the screen shows:\n{shown}");
            output = self.output.1.wait_timeout(output, left).expect("the reader lives").0;
        }
        start.elapsed()
    }

    /// Waits until `text` is on the screen.
    pub fn wait_for(&self, text: &str) -> Duration {
        self.wait_until(text, |o| o.parser.screen().contents().contains(text))
    }

    /// Waits until `text` is no longer on the screen.
    pub fn wait_gone(&self, text: &str) -> Duration {
        self.wait_until(&format!("{text} to go"), |o| !o.parser.screen().contents().contains(text))
    }

    /// The screen's text.
    pub fn contents(&self) -> String {
        self.lock().parser.screen().contents()
    }

    /// Everything that was written so far.
    pub fn raw(&self) -> Vec<u8> {
        self.lock().raw.clone()
    }

    /// The program's process id.
    pub fn pid(&self) -> i32 {
        self.child.process_id().expect("it runs") as i32
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill touches no memory of ours; the process is a child that was not waited for.
        let sent = unsafe { libc::kill(self.pid(), signal) };
        assert_eq!(sent, 0, "the signal is sent");
    }

    /// Changes the terminal's size.
    pub fn resize(&self, cols: u16, rows: u16) {
        self.lock().parser.screen_mut().set_size(rows, cols);
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("a new size");
    }

    /// Waits for the end; returns the exit status.
    pub fn end(&mut self) -> u32 {
        let start = Instant::now();
        let mut output = self.output.0.lock().expect("the reader lives");
        while !output.closed {
            let left = PATIENCE.checked_sub(start.elapsed()).expect("the program ends");
            output = self.output.1.wait_timeout(output, left).expect("the reader lives").0;
        }
        drop(output);
        self.child.wait().expect("an exit status").exit_code()
    }

    /// Asserts that the terminal is as it was before.
    pub fn assert_restored(&self) {
        let output = self.lock();
        let screen = output.parser.screen();
        assert!(!screen.alternate_screen(), "the alternate screen is left");
        assert!(!screen.hide_cursor(), "the cursor is shown");
        assert!(!screen.bracketed_paste(), "bracketed paste is off");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse is off");
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing running.
        let _ = self.child.kill();
    }
}

fn read_into(mut reader: Box<dyn Read + Send>, output: Arc<(Mutex<Output>, Condvar)>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        loop {
            // An error is the end too: that is how Linux says that the other side is closed.
            let n = reader.read(&mut bytes).unwrap_or(0);
            let mut output_now = output.0.lock().expect("nobody panics with the lock");
            if n == 0 {
                output_now.closed = true;
            } else {
                output_now.raw.extend_from_slice(&bytes[..n]);
                output_now.parser.process(&bytes[..n]);
            }
            output.1.notify_all();
            if n == 0 {
                return;
            }
        }
    });
}
