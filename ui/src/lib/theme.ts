// The theme that a person chose, or the system's, which is followed as it changes.

export type Theme = "system" | "light" | "dark";

const slot = "testmesh.theme";
const listeners = new Set<() => void>();
const system = () => matchMedia("(prefers-color-scheme: dark)");

export function chosenTheme(): Theme {
  try {
    const theme = localStorage.getItem(slot);
    return theme === "light" || theme === "dark" ? theme : "system";
  } catch {
    return "system";
  }
}

export function chooseTheme(theme: Theme): void {
  try {
    if (theme === "system") localStorage.removeItem(slot);
    else localStorage.setItem(slot, theme);
  } catch {
    // It holds for as long as the page is open.
  }
  apply(theme);
  for (const listener of listeners) listener();
}

export function onTheme(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

// followSystem keeps a page without a choice in the system's theme.
export function followSystem(): void {
  system().addEventListener("change", () => apply(chosenTheme()));
}

function apply(theme: Theme): void {
  document.documentElement.dataset.theme = theme === "system" ? (system().matches ? "dark" : "light") : theme;
}
