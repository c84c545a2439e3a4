//! Loops over a pool's threads with short waits between them.
//!
//! rayon's threads go to sleep after some microseconds without work, and waking one takes longer than most of what lies
//! between the products of a small model. While something like a forward pass runs, [`with`] keeps the pool's other
//! threads looking for its next loop instead; they take other work of the pool meanwhile.

use rayon::prelude::*;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Looks that a thread takes before it offers its processor to others, and before it asks the pool for other work.
const LOOKS: u32 = 2000;

type Work<'a> = &'a (dyn Fn(usize) + Sync + 'a);

/// A loop's body and how often it runs; the reference lives as long as the loop is open or somebody is in it.
#[derive(Clone, Copy)]
struct Loop {
    work: *const (dyn Fn(usize) + Sync),
    count: usize,
}

/// What the threads share: one loop at a time, given by the thread that leads.
struct Team {
    current: Mutex<Option<Loop>>,
    open: AtomicBool,
    next: AtomicUsize,
    /// Other threads in the open loop.
    inside: AtomicUsize,
    over: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

// SAFETY: the pointer is used between `open` and the last thread's leaving only, while the leader waits; what it points to
// is `Sync`.
unsafe impl Send for Loop {}

thread_local! {
    /// The team that this thread leads, where it is not in one of its loops.
    static LEADS: Cell<Option<*const Team>> = const { Cell::new(None) };
}

/// Runs `work` with the current rayon pool's other threads standing by for its loops.
pub fn with<T>(work: impl FnOnce() -> T) -> T {
    let Some(leader) = rayon::current_thread_index() else { return work() };
    if rayon::current_num_threads() < 2 || LEADS.get().is_some() {
        return work();
    }
    let team = Team {
        current: Mutex::new(None),
        open: AtomicBool::new(false),
        next: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        panic: Mutex::new(None),
    };
    /// Sends the others away, also where `work` panics.
    struct Over<'a>(&'a Team);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            LEADS.set(None);
            self.0.over.store(true, SeqCst);
        }
    }
    let team = &team;
    rayon::in_place_scope(|scope| {
        let _over = Over(team);
        for _ in 1..rayon::current_num_threads() {
            // The leader itself may come upon this while it waits for something.
            scope.spawn(move |_| {
                if rayon::current_thread_index() != Some(leader) {
                    team.stand_by();
                }
            });
        }
        LEADS.set(Some(team));
        work()
    })
}

/// `work` for all numbers below `count`, in any order, on the team that stands by, or else on the current rayon pool.
pub fn each(count: usize, work: impl Fn(usize) + Sync) {
    match LEADS.get() {
        // A team outlives the work that it stands by for.
        // SAFETY: as said; the pointer is the leader's own.
        Some(team) if count > 1 => unsafe { (*team).lead(count, &work) },
        Some(_) => (0..count).for_each(work),
        None => (0..count).into_par_iter().for_each(&work),
    }
}

/// As [`each`], with what `work` gives.
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let slots: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    each(count, |i| {
        let made = work(i);
        *slots[i].lock().unwrap_or_else(|e| e.into_inner()) = Some(made);
    });
    slots.into_iter().filter_map(|s| s.into_inner().unwrap_or_else(|e| e.into_inner())).collect()
}

impl Team {
    fn lead(&self, count: usize, work: Work) {
        /// Closes the loop and waits until nobody is in it: then the work may go, also where it panicked.
        struct Close<'a>(&'a Team);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.open.store(false, SeqCst);
                let mut looks = 0;
                while self.0.inside.load(SeqCst) > 0 {
                    wait(&mut looks);
                }
                LEADS.set(Some(self.0));
            }
        }
        // SAFETY: only the lifetime is changed; see `Loop`.
        let work_pointer: *const (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        *lock(&self.current) = Some(Loop { work: work_pointer, count });
        self.next.store(0, SeqCst);
        // A loop in this one goes to the pool.
        LEADS.set(None);
        let close = Close(self);
        self.open.store(true, SeqCst);
        while let Some(i) = self.take(count) {
            work(i);
        }
        drop(close);
        if let Some(panic) = lock(&self.panic).take() {
            resume_unwind(panic);
        }
    }

    fn take(&self, count: usize) -> Option<usize> {
        // Looked at before it is raised, so that it cannot run over however often somebody asks.
        (self.next.load(SeqCst) < count).then(|| self.next.fetch_add(1, SeqCst)).filter(|i| *i < count)
    }

    fn stand_by(&self) {
        let mut looks = 0;
        while !self.over.load(SeqCst) {
            if self.open.load(SeqCst) && self.join() {
                looks = 0;
            } else if wait(&mut looks) {
                rayon::yield_now();
            }
        }
    }

    /// Takes part in the open loop; whether there was anything left to do.
    fn join(&self) -> bool {
        let mut worked = false;
        self.inside.fetch_add(1, SeqCst);
        // Looked at again: from here on the leader waits.
        let current = if self.open.load(SeqCst) { *lock(&self.current) } else { None };
        if let Some(Loop { work, count }) = current {
            while let Some(i) = self.take(count) {
                worked = true;
                // SAFETY: the leader keeps the work until nobody is inside.
                let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*work)(i) }));
                if let Err(panic) = result {
                    *lock(&self.panic) = Some(panic);
                    break;
                }
            }
        }
        self.inside.fetch_sub(1, SeqCst);
        worked
    }
}

/// One look more; whether there were so many that somebody else may need the processor.
fn wait(looks: &mut u32) -> bool {
    *looks += 1;
    if *looks < LOOKS {
        std::hint::spin_loop();
        return false;
    }
    std::thread::yield_now();
    true
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    #[test]
    fn every_number_comes_once_with_and_without_a_team() {
        let check = || {
            for count in [0, 1, 2, 7, 1000] {
                let seen: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                each(count, |i| {
                    seen[i].fetch_add(1, SeqCst);
                });
                assert!(seen.iter().all(|n| n.load(SeqCst) == 1));
                assert_eq!(map(count, |i| i * i), (0..count).map(|i| i * i).collect::<Vec<_>>());
            }
        };
        check();
        for threads in [1, 2, 3] {
            pool(threads).install(|| {
                check();
                (0..200).for_each(|_| with(check));
            });
        }
    }

    #[test]
    fn loops_in_loops_and_other_work_of_the_pool_go_on() {
        let pool = pool(2);
        let total = AtomicUsize::new(0);
        let one = || {
            with(|| {
                for _ in 0..50 {
                    each(4, |_| each(3, |_| _ = total.fetch_add(1, SeqCst)));
                    let sum: usize = (0..100usize).into_par_iter().sum();
                    assert_eq!(sum, 4950);
                    with(|| each(2, |_| _ = total.fetch_add(1, SeqCst)));
                }
            });
        };
        std::thread::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| pool.install(one));
            }
        });
        assert_eq!(total.load(SeqCst), 3 * 50 * (12 + 2));
    }

    #[test]
    fn a_panic_reaches_the_leader_and_the_pool_stays_usable() {
        let pool = pool(2);
        for bad in 0..8 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| with(|| each(8, |i| assert!(i != bad, "number {i}"))));
            }));
            assert!(result.is_err());
            assert_eq!(pool.install(|| with(|| map(5, |i| i))), [0, 1, 2, 3, 4]);
        }
    }
}
