/** What stands between spaces and line ends. */
export const words = (text: string): string[] => text.trim().split(/\s+/);
