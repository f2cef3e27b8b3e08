/** Who wrote a folder of migrations. */
export const FOLDER_FORMATS = ['plain', 'drizzle', 'prisma', 'node-pg-migrate'] as const
export type FolderFormat = (typeof FOLDER_FORMATS)[number]
