// SPDX-License-Identifier: MIT
/*
 * draw.c - see draw.h.
 *
 * One lane for each contact that is used, drawn from the compiled table, so that what
 * is seen is what the hardware will run. Above it, when a train is long, its beginning
 * enlarged: a pulse of 200 us in a train of a second is a line otherwise.
 */
#include "draw.h"

#include <cairo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"

#define CURRENTS	200000
#define WIDTH		1200.0
#define LEFT		110.0
#define RIGHT		170.0
#define TOP		46.0
#define LANE		70.0
#define AXIS		44.0

struct picture {
	cairo_t *cr;
	const struct compiled_current *c;
	size_t n;
	struct compiled_scale scale;
	uint32_t contacts[ONI_STIM_CONTACTS];
	unsigned int lanes;
	int64_t peak[ONI_STIM_CONTACTS];
	__int128 net[ONI_STIM_CONTACTS];	/* steps x ns, by lane */
	uint64_t end_ns;
};

/* Where time is on the picture. */
struct view {
	uint64_t from, to;
	double top;
	const char *name;
};

static void look(struct picture *p)
{
	for (size_t i = 0; i < p->n; i++) {
		unsigned int lane = p->lanes;

		if (lane && p->contacts[lane - 1] == p->c[i].contact)
			lane--;
		else
			p->contacts[p->lanes++] = p->c[i].contact;
		if (llabs(p->c[i].level) > p->peak[lane])
			p->peak[lane] = llabs(p->c[i].level);
		p->net[lane] += (__int128)p->c[i].level * (__int128)p->c[i].ns;
		if (p->c[i].at_ns + p->c[i].ns > p->end_ns)
			p->end_ns = p->c[i].at_ns + p->c[i].ns;
	}
}

static void text(cairo_t *cr, double x, double y, const char *s)
{
	cairo_move_to(cr, x, y);
	cairo_show_text(cr, s);
}

static double x_of(const struct view *v, uint64_t ns)
{
	return LEFT + (WIDTH - LEFT - RIGHT) * ((double)ns - (double)v->from) /
	       (double)(v->to - v->from);
}

static void draw_lane(struct picture *p, const struct view *v, unsigned int lane)
{
	double zero = v->top + LANE * (lane + 0.5), high = LANE * 0.4;
	char label[80], a[DECIMAL_TEXT];
	uint64_t na = (uint64_t)p->peak[lane] * p->scale.num / p->scale.den;
	double left = x_of(v, v->from);

	cairo_set_source_rgb(p->cr, 0.8, 0.8, 0.8);
	cairo_set_line_width(p->cr, 1);
	cairo_move_to(p->cr, LEFT, zero);
	cairo_line_to(p->cr, WIDTH - RIGHT, zero);
	cairo_stroke(p->cr);
	cairo_set_source_rgb(p->cr, 0, 0, 0);
	snprintf(label, sizeof(label), "contact %u", p->contacts[lane]);
	text(p->cr, 12, zero - 3, label);
	snprintf(label, sizeof(label), "%s uA", decimal_text(a, na, 3));
	text(p->cr, 12, zero + 13, label);

	cairo_set_source_rgb(p->cr, 0.05, 0.25, 0.6);
	cairo_set_line_width(p->cr, 1.2);
	cairo_move_to(p->cr, left, zero);
	for (size_t i = 0; i < p->n; i++) {
		const struct compiled_current *c = &p->c[i];
		double y = zero - high * (double)c->level / (double)p->peak[lane];

		if (c->contact != p->contacts[lane] || c->at_ns >= v->to)
			continue;
		cairo_line_to(p->cr, x_of(v, c->at_ns), zero);
		cairo_line_to(p->cr, x_of(v, c->at_ns), y);
		cairo_line_to(p->cr, x_of(v, c->at_ns + c->ns), y);
		cairo_line_to(p->cr, x_of(v, c->at_ns + c->ns), zero);
	}
	cairo_line_to(p->cr, WIDTH - RIGHT, zero);
	cairo_stroke(p->cr);
}

/* What is left at the end of the train, in fC. */
static void draw_net(struct picture *p, const struct view *v, unsigned int lane)
{
	double zero = v->top + LANE * (lane + 0.5);
	__int128 fc = p->net[lane] * p->scale.num / p->scale.den / 1000;
	char label[80], a[DECIMAL_TEXT];

	cairo_set_source_rgb(p->cr, p->net[lane] ? 0.7 : 0, p->net[lane] ? 0.1 : 0.4, 0.1);
	if (p->net[lane])
		snprintf(label, sizeof(label), "leaves %s nC", decimal_signed(a, (int64_t)fc, 6, true));
	else
		snprintf(label, sizeof(label), "leaves 0 exactly");
	text(p->cr, WIDTH - RIGHT + 10, zero + 4, label);
}

static void draw_axis(struct picture *p, const struct view *v)
{
	double y = v->top + LANE * p->lanes + 8;
	char label[80], a[DECIMAL_TEXT];
	int i;

	cairo_set_source_rgb(p->cr, 0, 0, 0);
	cairo_set_line_width(p->cr, 1);
	cairo_move_to(p->cr, LEFT, y);
	cairo_line_to(p->cr, WIDTH - RIGHT, y);
	for (i = 0; i <= 4; i++) {
		uint64_t at = v->from + (v->to - v->from) * (uint64_t)i / 4;

		cairo_move_to(p->cr, x_of(v, at), y);
		cairo_line_to(p->cr, x_of(v, at), y + 5);
		snprintf(label, sizeof(label), "%s ms", decimal_text(a, at / 1000, 3));
		text(p->cr, x_of(v, at) - 14, y + 18, label);
	}
	cairo_stroke(p->cr);
	text(p->cr, 12, y + 18, v->name);
}

static void draw_view(struct picture *p, const struct view *v)
{
	cairo_save(p->cr);
	for (unsigned int lane = 0; lane < p->lanes; lane++) {
		cairo_save(p->cr);
		cairo_rectangle(p->cr, 0, v->top + LANE * lane, WIDTH - RIGHT + 1, LANE);
		cairo_clip(p->cr);
		draw_lane(p, v, lane);
		cairo_restore(p->cr);
		draw_net(p, v, lane);
	}
	cairo_restore(p->cr);
	draw_axis(p, v);
}

/* Long enough for the first pulse of every contact, or 0 if the whole is short anyway. */
static uint64_t beginning(const struct picture *p)
{
	uint64_t first = UINT64_MAX, end = 0, shortest = UINT64_MAX;

	for (size_t i = 0; i < p->n; i++) {
		if (p->c[i].ns < shortest)
			shortest = p->c[i].ns;
		if (p->c[i].at_ns < first)
			first = p->c[i].at_ns;
		if (!i || p->c[i].contact != p->c[i - 1].contact) {
			if (p->c[i].at_ns + 8 * p->c[i].ns > end)
				end = p->c[i].at_ns + 8 * p->c[i].ns;
		}
	}
	return p->end_ns > 50 * shortest && end < p->end_ns / 2 ? end : 0;
}

static int write_png(cairo_surface_t *surface, cairo_t *cr, const char *path, char *err, size_t len)
{
	cairo_status_t status = cairo_status(cr);

	if (status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_write_to_png(surface, path);
	if (status == CAIRO_STATUS_SUCCESS)
		return 0;
	snprintf(err, len, "cannot write the picture %s: %s", path, cairo_status_to_string(status));
	return -1;
}

static int draw(struct picture *p, const char *title, const char *path, char *err, size_t len)
{
	struct view views[2] = { { .name = "whole train" } };
	unsigned int n = 1, i;
	cairo_surface_t *surface;
	double height;
	uint64_t zoom;
	int rc;

	look(p);
	views[0].to = p->end_ns;
	zoom = beginning(p);
	if (zoom) {
		views[1] = views[0];
		views[0] = (struct view){ .to = zoom, .name = "beginning" };
		n = 2;
	}
	height = TOP + n * (LANE * p->lanes + AXIS) + 24;
	surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)WIDTH, (int)height);
	p->cr = cairo_create(surface);
	cairo_set_source_rgb(p->cr, 1, 1, 1);
	cairo_paint(p->cr);
	cairo_select_font_face(p->cr, "sans", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
	cairo_set_font_size(p->cr, 16);
	cairo_set_source_rgb(p->cr, 0, 0, 0);
	text(p->cr, 12, 26, title);
	cairo_set_font_size(p->cr, 12);
	for (i = 0; i < n; i++) {
		views[i].top = TOP + i * (LANE * p->lanes + AXIS);
		draw_view(p, &views[i]);
	}
	cairo_set_source_rgb(p->cr, 0.4, 0.4, 0.4);
	text(p->cr, 12, height - 10, "Currents of the compiled program, positive up. Research use only, not a "
	     "medical device.");
	rc = write_png(surface, p->cr, path, err, len);
	cairo_destroy(p->cr);
	cairo_surface_destroy(surface);
	return rc;
}

int draw_png(const struct compiled *c, const char *title, const char *path, char *err, size_t len)
{
	struct compiled_current *list = malloc(CURRENTS * sizeof(*list));
	struct picture p = { .c = list };
	int rc;

	if (!list) {
		snprintf(err, len, "out of memory");
		return -1;
	}
	p.n = compile_currents(c, list, CURRENTS, &p.scale);
	if (!p.n || p.n > CURRENTS) {
		snprintf(err, len, "cannot draw it: it has %s", p.n ? "more than 200000 currents" :
			 "no current");
		rc = -1;
	} else {
		rc = draw(&p, title, path, err, len);
	}
	free(list);
	return rc;
}
