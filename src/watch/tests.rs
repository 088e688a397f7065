//! With real directories the clock is real too: the kernel does not wait for a paused one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use notify::{EventHandler, NullWatcher, RecursiveMode, Watcher, WatcherKind};
use tokio::time::{interval, timeout};

use super::kernel::Events;
use super::*;

/// Long enough for a busy machine, and shorter than the poll: what is told within it, the kernel told.
const SOON: Duration = Duration::from_secs(10);
/// In which a change would have been told.
const A_WHILE: Duration = Duration::from_millis(600);

struct Scene {
    watch: Watch,
    root: PathBuf,
    _keep: tempfile::TempDir,
}

impl Scene {
    /// Watches `paths` of a new directory, in which `files` lie.
    async fn new(files: &[&str], paths: &[&str]) -> Self {
        let keep = tempfile::tempdir().unwrap();
        let root = keep.path().to_owned();
        for file in files {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "one").unwrap();
        }
        let mut scene = Scene {
            watch: Watch::new(&under(&root, paths)),
            root,
            _keep: keep,
        };
        scene.told("what was not watched before").await;
        scene
    }

    fn write(&self, file: &str) {
        fs::write(self.root.join(file), "two").unwrap();
    }

    async fn told(&mut self, what: &str) {
        timeout(SOON, self.watch.changed()).await.expect(what);
    }

    async fn not_told(&mut self, what: &str) {
        let told = timeout(A_WHILE, self.watch.changed()).await;
        assert!(told.is_err(), "{what}");
    }
}

fn under(root: &Path, names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(|name| root.join(name)).collect()
}

/// An update of a ConfigMap volume as kubelet makes it: a new directory, swapped in by one rename.
fn swap_volume(volume: &Path, version: &str) {
    let old = fs::read_link(volume.join("..data")).ok();
    fs::create_dir_all(volume.join(version)).unwrap();
    fs::write(volume.join(version).join("a.toml"), version).unwrap();
    symlink(version, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    match old {
        Some(old) => fs::remove_dir_all(volume.join(old)).unwrap(),
        None => symlink("..data/a.toml", volume.join("a.toml")).unwrap(),
    }
}

#[tokio::test]
async fn tells_of_every_way_to_save_a_file() {
    let mut scene = Scene::new(&["a.toml"], &["a.toml"]).await;
    let root = scene.root.clone();

    scene.write("a.toml");
    scene.told("a write in place").await;

    scene.write("a.toml.tmp");
    fs::rename(root.join("a.toml.tmp"), root.join("a.toml")).unwrap();
    scene.told("a rename over it").await;

    fs::rename(root.join("a.toml"), root.join("a.toml~")).unwrap();
    scene.write("a.toml");
    fs::remove_file(root.join("a.toml~")).unwrap();
    scene.told("an editor that keeps a backup").await;

    scene.write("a.toml");
    scene.told("a write to the file that was swapped in").await;

    fs::remove_file(root.join("a.toml")).unwrap();
    scene.told("its removal").await;
    scene.write("a.toml");
    scene.told("its return").await;
}

#[tokio::test]
async fn tells_of_a_config_map_that_is_swapped_again_and_again() {
    let keep = tempfile::tempdir().unwrap();
    let volume = keep.path().join("config");
    swap_volume(&volume, "..2026_01_01.1");
    for path in [volume.clone(), volume.join("a.toml")] {
        let mut watch = Watch::new(&[path]);
        timeout(SOON, watch.changed()).await.unwrap();
        for version in ["..2026_01_02.2", "..2026_01_03.3", "..2026_01_04.4"] {
            swap_volume(&volume, version);
            timeout(SOON, watch.changed()).await.expect(version);
        }
        // The directory behind the symlink is another one by now.
        fs::write(volume.join("..2026_01_04.4/a.toml"), "in place").unwrap();
        timeout(SOON, watch.changed()).await.expect("in place");
    }
}

#[tokio::test]
async fn tells_of_changes_behind_symlinks() {
    let mut scene = Scene::new(&["v1/a.toml", "v2/a.toml", "etc/x"], &["x"]).await;
    let root = scene.root.clone();
    symlink("v1", root.join("current")).unwrap();
    symlink("../current/a.toml", root.join("etc/a.toml")).unwrap();
    scene.watch.set_paths(&[root.join("etc/a.toml")]);
    scene.told("what was not watched before").await;

    scene.write("v1/a.toml");
    scene.told("a write to the target").await;

    symlink("v2", root.join("next")).unwrap();
    fs::rename(root.join("next"), root.join("current")).unwrap();
    scene.told("another target").await;
    scene.write("v2/a.toml");
    scene.told("a write to the other target").await;
    scene.write("v1/a.toml");
    scene.not_told("the old target is nothing any more").await;
}

#[tokio::test]
async fn tells_of_a_directory_that_goes_and_comes() {
    let mut scene = Scene::new(&["deep/conf/a.toml"], &["deep/conf"]).await;
    let root = scene.root.clone();
    for round in 0..2 {
        fs::remove_dir_all(root.join("deep")).unwrap();
        scene.told("its removal").await;
        fs::create_dir(root.join("deep")).unwrap();
        scene.told("the return of the directory above it").await;
        fs::create_dir(root.join("deep/conf")).unwrap();
        scene.told("its return").await;
        scene.write("deep/conf/a.toml");
        scene.told(&format!("a file in it, round {round}")).await;
    }
    fs::remove_dir_all(root.join("deep/conf")).unwrap();
    fs::create_dir(root.join("deep/conf")).unwrap();
    scene.told("another one at once in its place").await;
    scene.write("deep/conf/a.toml");
    scene.told("a file in the other one").await;
}

#[tokio::test]
async fn tells_of_many_events_once_and_of_reading_never() {
    let mut scene = Scene::new(&["a.toml"], &[""]).await;
    for number in 0..50 {
        scene.write(&format!("{number}.toml"));
    }
    scene.told("fifty files").await;
    scene.not_told("it was told already").await;

    for entry in fs::read_dir(&scene.root).unwrap() {
        fs::read(entry.unwrap().path()).unwrap();
    }
    scene.not_told("they were only read").await;
}

#[tokio::test]
async fn does_not_tell_of_a_log_that_is_written_beside_the_files() {
    for paths in [&["a.toml"][..], &[""][..], &["token"][..]] {
        let mut scene = Scene::new(&["a.toml", "token"], paths).await;
        for _ in 0..3 {
            scene.write("err.log");
            scene.not_told("a line in the log").await;
        }
        scene.write(if paths[0].is_empty() {
            "b.toml"
        } else {
            paths[0]
        });
        scene.told("a file that counts").await;
    }
}

#[tokio::test]
async fn watches_what_it_is_told_to() {
    let mut scene = Scene::new(&["a/a.toml", "b/b.toml"], &["a/a.toml"]).await;
    scene.write("b/b.toml");
    scene.not_told("not watched yet").await;

    let paths = under(&scene.root, &["b/b.toml"]);
    scene.watch.set_paths(&paths);
    scene.told("what was not watched before").await;
    scene.write("b/b.toml");
    scene.told("watched by now").await;
    scene.write("a/a.toml");
    scene.not_told("not watched any more").await;

    scene.watch.set_paths(&paths);
    scene.not_told("the same paths again").await;
}

#[tokio::test(start_paused = true)]
async fn without_the_kernel_the_poll_finds_changes() {
    let keep = tempfile::tempdir().unwrap();
    let file = keep.path().join("conf/a.toml");
    let start = Box::new(|_| Err(notify::Error::generic("no inotify here")));
    let mut watch = Watch::with(std::slice::from_ref(&file), start);
    watch.changed().await;

    let begin = Instant::now();
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, watch.changed()).await.is_err());

    fs::create_dir(keep.path().join("conf")).unwrap();
    for content in ["", "one", "three"] {
        fs::write(&file, content).unwrap();
        watch.changed().await;
    }
    let next = keep.path().join("next");
    fs::write(&next, "other").unwrap();
    fs::rename(&next, &file).unwrap();
    watch.changed().await;
    fs::remove_file(&file).unwrap();
    watch.changed().await;
    assert!(begin.elapsed() < hour + 6 * POLL);
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_has_no_watch_to_give_is_asked_again() {
    let keep = tempfile::tempdir().unwrap();
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let start = Box::new(move |_| match counter.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Err(notify::Error::generic("too many")),
        _ => Ok(Box::new(NullWatcher) as Box<_>),
    });
    let mut watch = Watch::with(&[keep.path().to_owned()], start);
    watch.changed().await;
    assert!(timeout(10 * POLL, watch.changed()).await.is_err());
    assert_eq!(tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn directories_are_watched_anew_only_when_the_poll_finds_a_change() {
    let keep = tempfile::tempdir().unwrap();
    let file = keep.path().join("a.toml");
    let watches = Arc::new(AtomicUsize::new(0));
    let counter = watches.clone();
    let start = Box::new(move |_| Ok(Box::new(Counting(counter.clone())) as Box<_>));
    let mut watch = Watch::with(std::slice::from_ref(&file), start);
    watch.changed().await;

    let so_far = watches.load(Ordering::Relaxed);
    assert!(timeout(10 * POLL, watch.changed()).await.is_err());
    assert_eq!(watches.load(Ordering::Relaxed), so_far);
    fs::write(&file, "two").unwrap();
    watch.changed().await;
    assert!(watches.load(Ordering::Relaxed) > so_far);
}

/// Counts the directories that it is to watch, and tells nothing of them.
struct Counting(Arc<AtomicUsize>);

impl Watcher for Counting {
    fn new<F: EventHandler>(_: F, _: notify::Config) -> notify::Result<Self> {
        Ok(Counting(Arc::default()))
    }

    fn watch(&mut self, _: &Path, _: RecursiveMode) -> notify::Result<()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn unwatch(&mut self, _: &Path) -> notify::Result<()> {
        Ok(())
    }

    fn kind() -> WatcherKind {
        WatcherKind::NullWatcher
    }
}

/// A watch that has told of its first paths, and the kernel's side of it.
async fn by_hand() -> (Watch, Arc<Events>) {
    let events = Arc::new(Mutex::new(None));
    let given = events.clone();
    let start = Box::new(move |events| {
        *given.lock().unwrap() = Some(events);
        Ok(Box::new(NullWatcher) as Box<_>)
    });
    let begin = Instant::now();
    let mut watch = Watch::with(&[PathBuf::from("/nowhere/a.toml")], start);
    watch.changed().await;
    assert_eq!(begin.elapsed(), QUIET);
    let events = events.lock().unwrap().take().unwrap();
    (watch, events)
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_when_it_has_been_quiet() {
    let (mut watch, events) = by_hand().await;
    let begin = Instant::now();
    let writing = async {
        let mut step = interval(Duration::from_millis(200));
        for _ in 0..5 {
            step.tick().await;
            events.notify_one();
        }
    };
    tokio::join!(watch.changed(), writing);
    assert_eq!(begin.elapsed(), Duration::from_millis(4 * 200) + QUIET);
    assert!(timeout(10 * POLL, watch.changed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn events_that_never_stop_do_not_hold_back_a_change() {
    let (mut watch, events) = by_hand().await;
    let begin = Instant::now();
    let writing = async {
        let mut step = interval(Duration::from_millis(20));
        loop {
            step.tick().await;
            events.notify_one();
        }
    };
    tokio::select! {
        () = watch.changed() => assert_eq!(begin.elapsed(), LONGEST),
        () = writing => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_turns_away_misses_nothing() {
    let (mut watch, events) = by_hand().await;
    events.notify_one();
    for _ in 0..3 {
        let begun = timeout(Duration::from_millis(50), watch.changed()).await;
        assert!(begun.is_err());
    }
    let begin = Instant::now();
    watch.changed().await;
    assert_eq!(begin.elapsed(), QUIET - Duration::from_millis(150));
}
