/* A program without a C library: wasi:filesystem called by the canonical ABI, each step's outcome in the answer. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define FS "wasi:filesystem/types@0.2.3"
#define IO "wasi:io/streams@0.2.3"
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

IMPORT("wasi:filesystem/preopens@0.2.3", "get-directories") void get_directories(void *ret);
IMPORT("wasi:clocks/monotonic-clock@0.2.3", "now") u64 monotonic_now(void);
IMPORT(FS, "[method]descriptor.open-at")
void open_at(u32 self, u32 follow, const char *path, u32 length, u32 open, u32 flags, void *ret);
IMPORT(FS, "[method]descriptor.read") void file_read(u32 self, u64 length, u64 offset, void *ret);
IMPORT(FS, "[method]descriptor.write") void file_write(u32 self, const char *data, u32 length, u64 offset, void *ret);
IMPORT(FS, "[method]descriptor.set-size") void set_size(u32 self, u64 size, void *ret);
IMPORT(FS, "[method]descriptor.read-via-stream") void read_via_stream(u32 self, u64 offset, void *ret);
IMPORT(FS, "[method]descriptor.write-via-stream") void write_via_stream(u32 self, u64 offset, void *ret);
IMPORT(FS, "[method]descriptor.append-via-stream") void append_via_stream(u32 self, void *ret);
IMPORT(FS, "[method]descriptor.read-directory") void read_directory(u32 self, void *ret);
IMPORT(FS, "[method]descriptor.create-directory-at") void mkdir_at(u32 self, const char *path, u32 length, void *ret);
IMPORT(FS, "[method]descriptor.remove-directory-at") void rmdir_at(u32 self, const char *path, u32 length, void *ret);
IMPORT(FS, "[method]descriptor.unlink-file-at") void unlink_at(u32 self, const char *path, u32 length, void *ret);
IMPORT(FS, "[method]descriptor.rename-at")
void rename_at(u32 self, const char *from, u32 length, u32 other, const char *to, u32 to_length, void *ret);
IMPORT(FS, "[method]directory-entry-stream.read-directory-entry") void read_entry(u32 self, void *ret);
IMPORT(FS, "[resource-drop]descriptor") void drop_descriptor(u32 self);
IMPORT(IO, "[method]input-stream.blocking-read") void stream_read(u32 self, u64 length, void *ret);
IMPORT(IO, "[method]output-stream.blocking-write-and-flush")
void stream_write(u32 self, const char *data, u32 length, void *ret);

static u8 heap[1 << 20];
static u32 used;
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, u32 old_size, u32 align, u32 size) {
  used = (used + align - 1) / align * align;
  u8 *at = heap + used;
  used += size;
  for (u32 i = 0; i < old_size && i < size; i += 1) at[i] = ((u8 *)old)[i];
  return at;
}

static char answer[8192];
static u32 end;
static void text(const char *data, u32 length) {
  for (u32 i = 0; i < length; i += 1) answer[end++] = data[i];
}
static u32 size_of(const char *s) {
  u32 length = 0;
  while (s[length]) length += 1;
  return length;
}
static void put(const char *s) { text(s, size_of(s)); }
static void number(u32 value) {
  if (value > 9) number(value / 10);
  char digit = '0' + value % 10;
  text(&digit, 1);
}
static int first;
static void item(const char *name) {
  put(first++ ? ",\"" : "\"");
  put(name);
  put(" ");
}

static union { u64 align; u32 word[8]; u8 byte[32]; } ret;
/* The error code of a result, its payload at `at`; 100 where there is none. */
static u32 code(u32 at) { return ret.byte[0] ? ret.byte[at] : 100; }
static void outcome(const char *name, u32 at) {
  item(name);
  number(code(at));
  put("\"");
}
static u32 open(u32 dir, const char *path, u32 how, u32 flags) {
  open_at(dir, 0, path, size_of(path), how, flags, &ret);
  return ret.byte[0] ? 0 : ret.word[1];
}

enum { CREATE = 1, DIRECTORY = 2, EXCLUSIVE = 4, TRUNCATE = 8, READ = 1, WRITE = 2 };

__attribute__((export_name("handle"))) void *handle(const char *request, u32 length) {
  (void)request;
  (void)length;
  put("{\"out\":[{\"type\":\"x\",\"value\":[");
  get_directories(&ret);
  u32 *directories = (u32 *)ret.word[0], count = ret.word[1], data = 0, shelf = 0;
  for (u32 i = 0; i < count; i += 1) {
    const char *path = (const char *)directories[3 * i + 1];
    if (path[directories[3 * i + 2] - 1] == 'a') data = directories[3 * i];
    else shelf = directories[3 * i];
  }
  u32 file = open(data, "c.txt", CREATE | EXCLUSIVE, READ | WRITE);
  outcome("create", 4);
  file_write(file, "hello world", 11, 0, &ret);
  outcome("write", 8);
  write_via_stream(file, 6, &ret);
  stream_write(ret.word[1], "there", 5, &ret);
  outcome("stream", 4);
  append_via_stream(file, &ret);
  u32 tail = ret.word[1];
  stream_write(tail, "!", 1, &ret);
  stream_write(tail, "?", 1, &ret);
  outcome("append", 4);
  file_read(file, 100, 0, &ret);
  item("read");
  text((const char *)ret.word[1], ret.word[2]);
  put(ret.byte[12] ? " end\"" : "\"");
  set_size(file, 5, &ret);
  read_via_stream(file, 1, &ret);
  u32 input = ret.word[1];
  stream_read(input, 100, &ret);
  item("stream read");
  text((const char *)ret.word[1], ret.word[2]);
  put("\"");
  stream_read(input, 100, &ret);
  outcome("stream end", 4);
  drop_descriptor(file);
  open(data, "c.txt", CREATE | EXCLUSIVE, READ | WRITE), outcome("create again", 4);
  open(data, "nothing", 0, READ), outcome("open nothing", 4);
  open(data, "link/secret", 0, READ), outcome("open a link", 4);
  open(data, "../outside/secret", 0, READ), outcome("open above", 4);
  open(data, "/etc/passwd", 0, READ), outcome("open absolute", 4);
  open(data, "sub/../c.txt", 0, READ), outcome("open beside", 4);
  open(shelf, "book", 0, READ), outcome("open to read", 4);
  open(shelf, "book", 0, READ | WRITE), outcome("open to write", 4);
  open(shelf, "book", TRUNCATE, READ), outcome("open to truncate", 4);
  open(data, "c.txt", DIRECTORY, READ), outcome("open as directory", 4);
  mkdir_at(shelf, "sub", 3, &ret), outcome("mkdir read-only", 1);
  mkdir_at(data, "sub", 3, &ret), outcome("mkdir", 1);
  rename_at(data, "c.txt", 5, data, "sub/d.txt", 9, &ret), outcome("rename", 1);
  rmdir_at(data, "sub", 3, &ret), outcome("rmdir", 1);
  u32 sub = open(data, "sub", DIRECTORY, READ);
  read_directory(sub, &ret);
  u32 entries = ret.word[1];
  read_entry(entries, &ret);
  item("entry");
  text((const char *)ret.word[3], ret.word[4]);
  put("\"");
  read_entry(entries, &ret);
  outcome(ret.byte[4] ? "more" : "no more", 4);
  unlink_at(sub, "d.txt", 5, &ret), outcome("unlink", 1);
  u32 held = 0;
  while (open(data, "sub", DIRECTORY, READ) && held < 1000) held += 1;
  outcome("A10: too many", 4);
  item("clock");
  put(monotonic_now() ? "real\"" : "0\"");
  put("]}]}");
  static u32 result[4];
  result[0] = 0;
  result[1] = (u32)answer;
  result[2] = end;
  return result;
}
