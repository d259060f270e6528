// What this program uses of libxml2, with its bounds: problems are kept up to a
// number, and nothing is read that was not handed over.
#include <libxml/xmlschemas.h>

typedef struct {
	const char *name; // a URL
	const char *data;
	int length;
} tm_file;

typedef struct {
	tm_file *files;
	int count;
} tm_files;

typedef struct {
	char file[512];
	char message[1024];
	int line;
	int column;
	int limit;
} tm_problem;

typedef struct {
	tm_problem *problems;
	int room;
	int kept;
	long count;
} tm_report;

// tm_start makes libxml2 ready for all threads and closes its ways to files and
// networks.
void tm_start(void);

tm_files *tm_files_new(int count);
void tm_files_set(tm_files *files, int at, const char *name, const char *data, int length);
void tm_files_free(tm_files *files);

tm_report *tm_report_new(int room);
void tm_report_free(tm_report *report);

// tm_compile compiles the first file; NULL where it is wrong.
xmlSchemaPtr tm_compile(tm_files *files, tm_report *report);

// tm_validate gives 0 for a valid document, 1 for one that is not well-formed or
// not valid, -1 where it could not be judged.
int tm_validate(xmlSchemaPtr schema, const char *data, int length, tm_report *report);
