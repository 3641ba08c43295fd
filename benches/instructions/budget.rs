//! What each path may take.

use std::path::PathBuf;

/// A rise by more than this part fails.
const SLACK: f64 = 0.05;
const HEAD: &str = "# Instructions of the hot paths, as `cargo bench --profile tests --workspace --bench instructions` counts\n\
    # them. More than 5 % above fails; what has become less may be written down (`-- --write`).\n\n";

fn file() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/budget.toml"))
}

pub fn write(counts: &[(&str, f64)]) -> Result<(), String> {
    let lines: String = counts.iter().map(|(name, count)| format!("{name} = {count:.0}\n")).collect();
    print!("{lines}");
    std::fs::write(file(), format!("{HEAD}{lines}")).map_err(|error| error.to_string())
}

pub fn compare(counts: &[(&str, f64)]) -> Result<(), String> {
    let text = std::fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let budget: toml::Table = toml::from_str(&text).map_err(|error| error.to_string())?;
    let mut over = Vec::new();
    for (name, count) in counts {
        let allowed = budget.get(*name).and_then(toml::Value::as_integer);
        let allowed = allowed.ok_or_else(|| format!("no budget for {name}: run with --write"))? as f64;
        let rise = (count / allowed - 1.0) * 100.0;
        println!("{name:>16}: {count:>10.0} instructions, {allowed:.0} budgeted, {rise:+.1} %");
        if *count > allowed * (1.0 + SLACK) {
            over.push(format!("{name} by {rise:.1} %"));
        }
    }
    if over.is_empty() {
        println!("{} passed, 0 failed", counts.len());
        return Ok(());
    }
    Err(format!(
        "over the budget: {}. Mend it, or say in the commit why it is worth it and run \
         `cargo bench --profile tests --workspace --bench instructions -- --write`",
        over.join(", ")
    ))
}
