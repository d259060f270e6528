// copyText puts a text on the clipboard. A page that is served without TLS from another
// machine has no clipboard of its own: there a selection is copied, as a person would.
export async function copyText(text: string, beside: HTMLElement): Promise<boolean> {
  if (navigator.clipboard !== undefined) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.readOnly = true;
  area.className = "sr-only";
  beside.after(area); // within the dialog that is open, where there is one
  area.select();
  try {
    return document.execCommand("copy");
  } finally {
    area.remove();
    beside.focus();
  }
}
