//go:build libxml2 && cgo

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libxml/catalog.h>
#include <libxml/parser.h>
#include <libxml/parserInternals.h>
#include <libxml/uri.h>
#include <libxml/xmlschemastypes.h>

#include "libxml2.h"

// The files that the current call may read. A call stays on its thread.
static __thread tm_files *readable;

// load stands in the place of libxml2's own ways to files and networks. What is
// not among the files of the call is not there.
static xmlParserInputPtr load(const char *url, const char *id, xmlParserCtxtPtr ctxt)
{
	(void)id;
	if (readable == NULL || url == NULL)
		return NULL;
	char *plain = xmlURIUnescapeString(url, 0, NULL);
	if (plain == NULL)
		return NULL;
	xmlParserInputPtr input = NULL;
	for (int i = 0; i < readable->count; i++) {
		tm_file *file = &readable->files[i];
		if (strcmp(file->name, plain) != 0)
			continue;
		xmlParserInputBufferPtr buffer = xmlParserInputBufferCreateMem(file->data, file->length, XML_CHAR_ENCODING_UTF8);
		if (buffer == NULL)
			break;
		input = xmlNewIOInputStream(ctxt, buffer, XML_CHAR_ENCODING_NONE);
		if (input == NULL)
			xmlFreeParserInputBuffer(buffer);
		else
			input->filename = (char *)xmlCharStrdup(url);
		break;
	}
	xmlFree(plain);
	return input;
}

static void ignore(void *context, const char *message, ...)
{
	(void)context;
	(void)message;
}

static pthread_once_t started = PTHREAD_ONCE_INIT;

static void start_once(void)
{
	xmlInitParser();
	xmlSchemaInitTypes(); // else done by the first schema, without a lock
	xmlCatalogSetDefaults(XML_CATA_ALLOW_NONE);
	xmlSetExternalEntityLoader(load);
}

void tm_start(void)
{
	pthread_once(&started, start_once);
}

tm_files *tm_files_new(int count)
{
	tm_files *files = calloc(1, sizeof(*files));
	if (files == NULL)
		return NULL;
	files->files = calloc(count, sizeof(*files->files));
	files->count = count;
	if (files->files == NULL) {
		free(files);
		return NULL;
	}
	return files;
}

void tm_files_set(tm_files *files, int at, const char *name, const char *data, int length)
{
	files->files[at] = (tm_file){name, data, length};
}

void tm_files_free(tm_files *files)
{
	free(files->files);
	free(files);
}

tm_report *tm_report_new(int room)
{
	tm_report *report = calloc(1, sizeof(*report));
	if (report == NULL)
		return NULL;
	report->problems = calloc(room, sizeof(*report->problems));
	report->room = room;
	if (report->problems == NULL) {
		free(report);
		return NULL;
	}
	return report;
}

void tm_report_free(tm_report *report)
{
	free(report->problems);
	free(report);
}

static void copy(char *to, size_t room, const char *from)
{
	if (from == NULL)
		from = "";
	size_t length = strlen(from);
	if (length >= room)
		length = room - 1;
	memcpy(to, from, length);
	to[length] = '\0';
}

// note is called by libxml2 with whatever it finds.
static void note(void *context, xmlErrorPtr error)
{
	tm_report *report = context;
	if (error == NULL || error->level < XML_ERR_ERROR)
		return;
	report->count++;
	if (report->kept == report->room)
		return;
	tm_problem *problem = &report->problems[report->kept++];
	copy(problem->file, sizeof(problem->file), error->file);
	copy(problem->message, sizeof(problem->message), error->message);
	problem->line = error->line;
	// Only the parser counts columns; elsewhere int2 is something else.
	problem->column = error->domain == XML_FROM_PARSER || error->domain == XML_FROM_NAMESPACE ? error->int2 : 0;
	problem->limit = error->domain == XML_FROM_PARSER &&
		(error->code == XML_ERR_INTERNAL_ERROR || error->code == XML_ERR_NO_MEMORY || error->code == XML_ERR_NAME_TOO_LONG);
}

// What libxml2 reports without a context goes to the thread's handlers. None may
// be left behind: the thread goes on to something else.
static void listen(tm_report *report)
{
	xmlSetStructuredErrorFunc(report, (xmlStructuredErrorFunc)note);
	xmlSetGenericErrorFunc(NULL, ignore);
}

static void leave(void)
{
	xmlSetStructuredErrorFunc(NULL, NULL);
	xmlResetLastError();
}

xmlSchemaPtr tm_compile(tm_files *files, tm_report *report)
{
	listen(report);
	readable = files;
	xmlSchemaPtr schema = NULL;
	xmlSchemaParserCtxtPtr parser = xmlSchemaNewParserCtxt(files->files[0].name);
	if (parser != NULL) {
		xmlSchemaSetParserStructuredErrors(parser, (xmlStructuredErrorFunc)note, report);
		schema = xmlSchemaParse(parser);
		xmlSchemaFreeParserCtxt(parser);
	}
	readable = NULL;
	leave();
	return schema;
}

int tm_validate(xmlSchemaPtr schema, const char *data, int length, tm_report *report)
{
	int result = -1;
	listen(report);
	xmlParserCtxtPtr parser = xmlNewParserCtxt();
	if (parser == NULL)
		goto end;
	xmlDocPtr document = xmlCtxtReadMemory(parser, data, length, NULL, NULL, XML_PARSE_NONET | XML_PARSE_BIG_LINES);
	xmlFreeParserCtxt(parser);
	if (document == NULL) {
		result = report->count > 0 ? 1 : -1;
		goto end;
	}
	// A name space that nobody declared does not keep the parser from going on.
	if (report->count > 0) {
		result = 1;
		xmlFreeDoc(document);
		goto end;
	}
	xmlSchemaValidCtxtPtr judge = xmlSchemaNewValidCtxt(schema);
	if (judge != NULL) {
		xmlSchemaSetValidStructuredErrors(judge, (xmlStructuredErrorFunc)note, report);
		int code = xmlSchemaValidateDoc(judge, document);
		result = code == 0 ? 0 : code > 0 ? 1 : -1;
		xmlSchemaFreeValidCtxt(judge);
	}
	xmlFreeDoc(document);
end:
	leave();
	return result;
}
