use super::*;
use std::io::Write;

fn line(step: u32, loss: f64) -> String {
    format!("{{\"current_steps\": {step}, \"total_steps\": 100, \"loss\": {loss}}}\n")
}

fn records(updates: &[Update]) -> Vec<(f64, f64)> {
    let pair = |u: &Update| match u {
        Update::Record(r) => Some((r.step?, r.loss?)),
        _ => None,
    };
    updates.iter().filter_map(pair).collect()
}

fn damaged(updates: &[Update]) -> Vec<u64> {
    updates
        .iter()
        .filter_map(|u| if let Update::Damaged { line, .. } = u { Some(*line) } else { None })
        .collect()
}

fn restarts(updates: &[Update]) -> usize {
    updates.iter().filter(|u| matches!(u, Update::Restarted { .. })).count()
}

#[test]
fn byte_by_byte_gives_what_the_whole_file_gives() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = line(1, 2.5) + "\n" + &line(2, 2.25) + "{\"loss\": oops}\n";
    text += "{\"current_steps\": 3, \"loss\": NaN}\r\n";
    text += "[1]\n{\"loss\": [], \"current_steps\": 4}\n";
    text += &line(5, 1.5);
    let whole = dir.path().join("whole.jsonl");
    fs::write(&whole, &text).unwrap();
    let expected = LogFollower::new(&whole).poll().unwrap();
    assert_eq!(damaged(&expected), [4, 6, 7]);
    let grown = dir.path().join("grown.jsonl");
    let mut follower = LogFollower::new(&grown);
    let mut got = follower.poll().unwrap();
    assert!(matches!(&got[..], [Update::Waiting { what }] if what.contains("grown.jsonl")), "{got:?}");
    assert_eq!(follower.poll().unwrap(), []);
    for i in 1..=text.len() {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&grown).unwrap();
        file.write_all(&text.as_bytes()[i - 1..i]).unwrap();
        got.extend(follower.poll().unwrap());
    }
    let plain = |updates: Vec<Update>| -> Vec<String> {
        let keep = |u: &Update| matches!(u, Update::Record(_) | Update::Damaged { .. });
        updates.into_iter().filter(keep).map(|u| format!("{u:?}")).collect()
    };
    assert_eq!(plain(got), plain(expected));
}

#[test]
fn an_unfinished_last_line_is_the_end_so_far() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(LOG_FILE);
    fs::write(&path, line(1, 3.0) + "{\"current_steps\": 2, \"lo").unwrap();
    let mut follower = LogFollower::new(dir.path());
    let updates = follower.poll().unwrap();
    assert_eq!((records(&updates), damaged(&updates)), (vec![(1.0, 3.0)], vec![]));
    assert!(follower.poll().unwrap().is_empty());
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"ss\": 2}").unwrap();
    assert!(records(&follower.poll().unwrap()).is_empty(), "it may still grow");
    assert_eq!(records(&follower.poll().unwrap()), [(2.0, 2.0)], "nobody writes any more");
    file.write_all(b"\n").unwrap();
    file.write_all(line(3, 1.0).as_bytes()).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((records(&updates), damaged(&updates)), (vec![(3.0, 1.0)], vec![]));
}

#[test]
fn truncated_and_replaced_files_start_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    fs::write(&path, line(1, 3.0) + &line(2, 2.0)).unwrap();
    let mut follower = LogFollower::new(&path);
    let first = follower.poll().unwrap();
    assert_eq!((restarts(&first), records(&first).len()), (1, 2));
    // Truncated and written again, shorter.
    fs::write(&path, line(1, 9.0)).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((restarts(&updates), records(&updates)), (1, vec![(1.0, 9.0)]));
    // Written again in place, longer: only the first bytes tell.
    fs::write(&path, line(1, 8.0) + &line(2, 7.0) + &line(3, 6.0)).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((restarts(&updates), records(&updates).len()), (1, 3));
    // Another file moved over it.
    let other = dir.path().join("other");
    fs::write(&other, line(1, 8.0) + &line(2, 7.0) + &line(3, 6.0) + &line(4, 5.0)).unwrap();
    fs::rename(&other, &path).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((restarts(&updates), records(&updates).len()), (1, 4));
    // Gone: what was read stays, and the wait is told once.
    fs::remove_file(&path).unwrap();
    assert!(matches!(&follower.poll().unwrap()[..], [Update::Waiting { .. }]));
    assert_eq!(follower.poll().unwrap(), []);
}

#[test]
fn huge_lines_and_files_take_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let mut file = File::create(&path).unwrap();
    file.write_all(line(1, 3.0).as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..20 {
        file.write_all(&chunk).unwrap();
    }
    file.write_all(b"\n").unwrap();
    file.write_all(line(2, 2.0).as_bytes()).unwrap();
    let mut follower = LogFollower::new(&path);
    let mut all = Vec::new();
    for _ in 0..4 {
        all.extend(follower.poll().unwrap());
        assert!(follower.current.as_ref().unwrap().tail.capacity() <= 2 * MAX_LINE);
    }
    assert_eq!((records(&all), damaged(&all)), (vec![(1.0, 3.0), (2.0, 2.0)], vec![2]));
    let statuses = all.iter().filter(|u| matches!(u, Update::Status { read, size, .. } if read < size));
    assert_eq!(statuses.count(), 2, "the caller sees that there is more");
}

#[test]
fn a_state_file_is_read_anew_and_only_new_entries_come() {
    let dir = tempfile::tempdir().unwrap();
    let state =
        |entries: &str| format!("{{\"global_step\": 9, \"max_steps\": 40, \"log_history\": [{entries}]}}");
    let path = dir.path().join("checkpoint-20").join(STATE_FILE);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::create_dir_all(dir.path().join("checkpoint-100")).unwrap();
    fs::write(&path, state("{\"step\": 10, \"loss\": 2.5}")).unwrap();
    let mut follower = LogFollower::new(dir.path());
    let updates = follower.poll().unwrap();
    assert_eq!(records(&updates), [(10.0, 2.5)]);
    assert!(updates.iter().any(|u| matches!(u, Update::Record(r) if r.total_steps == Some(40.0))));
    assert!(follower.poll().unwrap().is_empty());
    fs::write(&path, state("{\"step\": 10, \"loss\": 2.5}, {\"step\": 20, \"loss\": NaN}, 7")).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((records(&updates).len(), damaged(&updates), restarts(&updates)), (1, vec![3], 0));
    // The log proper appears: it wins over the state.
    fs::write(dir.path().join(LOG_FILE), line(1, 3.0)).unwrap();
    let updates = follower.poll().unwrap();
    assert_eq!((records(&updates), restarts(&updates)), (vec![(1.0, 3.0)], 1));
}

#[test]
fn what_is_no_log_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.json");
    fs::write(&path, "{\"a\": 1}").unwrap();
    let message = LogFollower::new(&path).poll().unwrap_err().to_string();
    assert!(message.contains("config.json") && message.contains("log_history"), "{message}");
    fs::write(&path, "{\"log_hist").unwrap();
    assert_eq!(damaged(&LogFollower::new(&path).poll().unwrap()), [1]);
    let message = LogFollower::new("/dev/null").poll().unwrap_err().to_string();
    assert!(message.contains("neither a file nor a directory"), "{message}");
    let updates = LogFollower::new(path.join("below-a-file")).poll().unwrap();
    assert!(matches!(&updates[..], [Update::Waiting { .. }]));
}
