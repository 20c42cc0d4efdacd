const visible = /[[\p{L}\p{N}\p{P}\p{S}]--[\p{Default_Ignorable_Code_Point}\u2800]]/v;

/** Whether a text has a character that people see: blanks, controls and characters without width are none. */
export const isVisible = (text: string): boolean => visible.test(text);
