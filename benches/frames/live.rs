//! The real program in a pseudo-terminal, timed from outside.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What ends every frame: the end of a synchronized update.
const END: &[u8] = b"\x1b[?2026l";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

struct Output {
    parser: vt100::Parser,
    /// When each frame's last byte was there.
    frames: Vec<Instant>,
    /// The last bytes, in which a frame's end may begin.
    tail: Vec<u8>,
    bytes: usize,
    closed: bool,
}

/// A running polylens.
pub struct Live {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    output: Arc<(Mutex<Output>, Condvar)>,
    begun: Instant,
}

impl Live {
    /// Starts the program; `home` is where it looks for caches.
    pub fn start(args: &[&str], home: &Path, (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_polylens"));
        command.args(args);
        command.env_remove("POLYLENS_CACHE");
        command.env_remove("NO_COLOR");
        command.env("HOME", home);
        command.env("XDG_CACHE_HOME", home);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("LANG", "C.UTF-8");
        command.cwd(home);
        let begun = Instant::now();
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let reader = pair.master.try_clone_reader().expect("a reader");
        let writer = pair.master.take_writer().expect("a writer");
        let output = Output {
            parser: vt100::Parser::new(rows, cols, 0),
            frames: Vec::new(),
            tail: Vec::new(),
            bytes: 0,
            closed: false,
        };
        let output = Arc::new((Mutex::new(output), Condvar::new()));
        read_into(reader, output.clone());
        Self { child, _master: pair.master, writer, output, begun }
    }

    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.0.lock().expect("the reader lives")
    }

    /// Types bytes.
    pub fn send(&mut self, bytes: &str) {
        self.writer.write_all(bytes.as_bytes()).expect("the terminal takes input");
        self.writer.flush().expect("the terminal takes input");
    }

    fn wait_until(&self, what: &str, test: impl Fn(&Output) -> bool) -> Instant {
        let (start, mut output) = (Instant::now(), self.lock());
        while !test(&output) {
            let shown = || output.parser.screen().contents();
            let Some(left) = PATIENCE.checked_sub(start.elapsed()) else {
                panic!("waited in vain for {what}:\n{}", shown())
            };
            assert!(!output.closed, "the program ended while waiting for {what}:\n{}", shown());
            output = self.output.1.wait_timeout(output, left).expect("the reader lives").0;
        }
        Instant::now()
    }

    /// Waits until `text` is on the screen; returns when it was.
    pub fn wait_for(&self, text: &str) -> Instant {
        self.wait_until(text, |o| o.parser.screen().contents().contains(text))
    }

    /// From the start to the end of the first frame.
    pub fn first_frame(&self) -> Duration {
        self.wait_until("the first frame", |o| !o.frames.is_empty());
        self.lock().frames[0] - self.begun
    }

    /// Waits until nothing was drawn for `quiet`; returns when the last frame was whole, `None`
    /// if it goes on drawing.
    pub fn settle(&self, quiet: Duration) -> Option<Instant> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE / 4 {
            let before = self.lock().frames.len();
            std::thread::sleep(quiet);
            let output = self.lock();
            if output.frames.len() == before {
                return output.frames.last().copied();
            }
        }
        None
    }

    /// Frames and bytes so far.
    pub fn drawn(&self) -> (usize, usize) {
        let output = self.lock();
        (output.frames.len(), output.bytes)
    }

    /// Processor time so far in seconds.
    pub fn cpu(&self) -> f64 {
        let pid = self.child.process_id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |i: usize| after_name.split_whitespace().nth(i).and_then(|v| v.parse::<f64>().ok());
        // Of user and system, in hundredths of a second.
        (field(11).unwrap_or(f64::NAN) + field(12).unwrap_or(f64::NAN)) / 100.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_into(mut reader: Box<dyn Read + Send>, output: Arc<(Mutex<Output>, Condvar)>) {
    std::thread::spawn(move || {
        let mut bytes = [0; 1 << 16];
        loop {
            // An error is the end too: that is how Linux says that the other side is closed.
            let n = reader.read(&mut bytes).unwrap_or(0);
            let mut out = output.0.lock().expect("nobody panics with the lock");
            out.closed = n == 0;
            out.bytes += n;
            out.tail.extend_from_slice(&bytes[..n]);
            out.parser.process(&bytes[..n]);
            let now = Instant::now();
            let ends = out.tail.windows(END.len()).filter(|w| *w == END).count();
            out.frames.extend(std::iter::repeat_n(now, ends));
            let keep = out.tail.len().saturating_sub(END.len() - 1);
            out.tail.drain(..keep);
            output.1.notify_all();
            if n == 0 {
                return;
            }
        }
    });
}
