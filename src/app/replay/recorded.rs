//! Answers that a recording holds: what a viewer asks beside the recorded path may have been asked somewhere on it.

use crate::engine::protocol::{Command, Event, JobId};
use crate::session::{Kind, SessionFile};

/// Lines that are looked at for the answers of one question.
const MOST: usize = 20_000;

/// The recorded answers to a question like `command`, given to its own job; `None` where it was never asked, or not
/// answered to the end.
pub fn answers(file: &SessionFile, command: &Command) -> Option<Vec<Event>> {
    let (job, wanted) = plain(command)?;
    let entries = file.entries();
    let mut columns = Vec::new();
    for (i, _) in entries.iter().enumerate().filter(|(_, e)| e.kind == Kind::Ask) {
        let Ok(super::What::Ask(asked)) = file.line(&entries[i]).map(|l: super::Line| l.what) else {
            continue;
        };
        let Some((theirs, asked)) = plain(&asked) else { continue };
        match (&wanted, &asked) {
            (Command::Grid { query, run, from, to, .. }, Command::Grid { query: q, run: r, .. })
                if (query, run) == (q, r) =>
            {
                let found = collect(file, i, theirs, job).0;
                columns.extend(found.into_iter().filter(
                    |e| matches!(e, Event::GridColumn { position, .. } if (*from..*to).contains(position)),
                ));
            }
            (wanted, asked) if wanted == asked => {
                if let (events, true) = collect(file, i, theirs, job) {
                    return Some(events);
                }
            }
            _ => {}
        }
    }
    (!columns.is_empty()).then_some(columns)
}

/// A question without its number; `None` for commands that are no questions.
fn plain(command: &Command) -> Option<(JobId, Command)> {
    let mut plain = command.clone();
    let number = match &mut plain {
        Command::Lens { job, .. }
        | Command::Grid { job, .. }
        | Command::Cell { job, .. }
        | Command::Curves { job, .. }
        | Command::Pca { job, .. }
        | Command::Eval { job, .. } => job,
        _ => return None,
    };
    Some((std::mem::take(number), plain))
}

/// The answers of job `theirs`, asked on the i-th line, as those of job `job`; and whether the last one is there.
fn collect(file: &SessionFile, i: usize, theirs: JobId, job: JobId) -> (Vec<Event>, bool) {
    let (mut events, mut whole) = (Vec::new(), false);
    let number = format!("\"job\":{theirs}");
    for entry in file.entries().iter().skip(i + 1).take(MOST).filter(|e| e.kind == Kind::Event) {
        let text = file.text(entry);
        let begin = &text[..text.len().min(120)];
        if !begin.windows(number.len()).any(|w| w == number.as_bytes()) {
            continue;
        }
        let Some(event) = renumbered(text, theirs, job) else { continue };
        let ends = matches!(
            event,
            Event::LensDone { .. }
                | Event::CellReady { .. }
                | Event::CurvesReady { .. }
                | Event::PcaReady { complete: true, .. }
                | Event::EvalDone { .. }
        );
        if matches!(event, Event::Failed { .. } | Event::Cancelled { .. }) {
            break;
        }
        if !matches!(event, Event::Progress { .. }) {
            events.push(event);
        }
        if ends {
            whole = true;
            break;
        }
    }
    (events, whole)
}

fn renumbered(text: &[u8], theirs: JobId, job: JobId) -> Option<Event> {
    let mut line: serde_json::Value = serde_json::from_slice(text).ok()?;
    let event = line.get_mut("event")?;
    let number = event.get_mut("job").filter(|j| j.as_u64() == Some(theirs))?;
    *number = job.into();
    serde_json::from_value(event.take()).ok()
}
