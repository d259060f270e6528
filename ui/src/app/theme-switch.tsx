import { useSyncExternalStore } from "react";
import { Button } from "../components/button";
import { Icon, type IconName } from "../components/icon";
import { chooseTheme, chosenTheme, onTheme, type Theme } from "../lib/theme";

const next: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const looks: Record<Theme, { icon: IconName; word: string }> = {
  system: { icon: "screen", word: "System theme" },
  light: { icon: "sun", word: "Light theme" },
  dark: { icon: "moon", word: "Dark theme" },
};

export function ThemeSwitch() {
  const theme = useSyncExternalStore(onTheme, chosenTheme);
  return (
    <Button
      kind="quiet"
      onClick={() => chooseTheme(next[theme])}
      aria-label={`${looks[theme].word}: change`}
      title={looks[theme].word}
      className="lg:justify-start"
    >
      <Icon name={looks[theme].icon} />
      <span className="hidden lg:inline">{looks[theme].word}</span>
    </Button>
  );
}
