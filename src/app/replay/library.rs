//! The tasks that a recording was made with.

use crate::app::bundle::Bundle;
use crate::app::library::Library;
use crate::error::Result;
use crate::session::{Header, task_hash};
use crate::tasks::{BUNDLED, Source};
use std::sync::Arc;

/// The bundled tasks and the recording's own, and a sentence for each task that is not as it was then.
///
/// # Errors
/// One of the recording's own tasks has faults.
pub fn library_for(header: &Header) -> Result<(Arc<dyn Library>, Vec<String>)> {
    let mut notes = Vec::new();
    let mut own = Vec::new();
    for task in &header.own_tasks {
        let source = Source::parse(&task.toml, &format!("the recording's task {}", task.id))?;
        if header.tasks.get(&task.id).is_some_and(|hash| *hash != task_hash(&task.toml)) {
            notes.push(format!("The recording's own task {} is not the one that it was made with.", task.id));
        }
        own.push(source);
    }
    for (id, hash) in &header.tasks {
        if header.own_tasks.iter().any(|t| t.id == *id) {
            continue;
        }
        match BUNDLED.iter().find(|b| b.id == id) {
            Some(task) if task_hash(task.toml) == *hash => {}
            Some(_) => notes.push(format!(
                "The task {id} has changed since polylens {} recorded this: prompts are shown as they are now.",
                header.version
            )),
            None => notes.push(format!("The recording's task {id} does not come with this program.")),
        }
    }
    Ok((Arc::new(Bundle::of(own)?), notes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Source as From, Start, TaskText};

    #[test]
    fn a_recordings_own_tasks_come_with_it_and_changed_ones_are_noticed() {
        let mut header = Header::new(From::Explorer, "explore", Start::default());
        let toml = BUNDLED[0].toml.replacen("id = \"sentiment\"", "id = \"mine\"", 1);
        assert_ne!(toml, BUNDLED[0].toml);
        header.own_tasks = vec![TaskText { id: "mine".into(), toml: toml.clone() }];
        header.tasks.insert("mine".into(), task_hash(&toml));
        header.tasks.insert("nli".into(), task_hash(BUNDLED[1].toml));
        let (library, notes) = library_for(&header).unwrap();
        assert_eq!(notes, Vec::<String>::new());
        assert!(["mine", "nli", "sentiment"].iter().all(|id| library.tasks().iter().any(|t| t.id == *id)));
        header.tasks.insert("nli".into(), "0".repeat(64));
        header.tasks.insert("gone".into(), String::new());
        let (_, notes) = library_for(&header).unwrap();
        assert!(notes.len() == 2 && notes[0].contains("task gone") && notes[1].contains("nli has changed"));
        header.own_tasks[0].toml = "id = 7".into();
        assert!(library_for(&header).unwrap_err().to_string().contains("the recording's task mine"));
    }
}
