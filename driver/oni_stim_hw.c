// SPDX-License-Identifier: GPL-2.0-only
/*
 * The interlock's hands: programs, triggers and the off switch in registers of
 * RHS2116 chips, their trigger, and the headstage-64 stimulator.
 *
 * Everything runs with oni_stim::lock held, inside the gate. Nothing here decides
 * whether it may be done. Sources: ONIX datasheets, bonsai-onix1; steps of the
 * amplitude: data sheet of the Intan RHS2116, register 34.
 */
#include <linux/sched/signal.h>

#include "oni_internal.h"

#define RHS_NUMDELTAS	0x8002U
#define RHS_DELTAIDXTIME	0x8003U
#define RHS_DELTAPOLEN	0x8004U
#define RHS_SEQERROR	0x8005U
#define RHS_STEPSZ	0x22U
#define RHS_NEG0	0x40U
#define RHS_POS0	0x60U
#define RHS_IDX_SHIFT	22

#define TRIG_SOURCE	1U
#define TRIG_TRIGGER	2U
#define TRIG_ARMED	3U

#define HS64_TRIGGER	12U
#define HS64_POWERON	13U
#define HS64_ENABLE	14U

struct step {
	u32 na;
	u32 reg;
};

static const struct step steps[] = {
	{ 10, 0x69c0 }, { 20, 0x3428 }, { 50, 0x1440 }, { 100, 0x0a1e },
	{ 200, 0x0519 }, { 500, 0x01e5 }, { 1000, 0x00e2 }, { 2000, 0x005e },
	{ 5000, 0x0026 }, { 10000, 0x000f },
};

/**
 * oni_stim_step_known - does a RHS2116 have this step?
 * @step_na: nA
 */
bool oni_stim_step_known(u32 step_na)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].na == step_na)
			return true;
	return false;
}

static u32 step_reg(u32 step_na)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].na == step_na)
			return steps[i].reg;
	return 0;
}

/**
 * oni_stim_row - a stimulator behind a hub
 * @stim: the interlock
 * @hub: its number
 * @id: ONI_ID_*
 * @nth: which of them
 *
 * Return: the row, or NULL.
 */
const struct oni_stim_row *oni_stim_row(const struct oni_stim *stim, u32 hub,
					u32 id, u32 nth)
{
	u32 i;

	for (i = 0; i < stim->rows; i++)
		if (stim->row[i].addr >> 8 == hub && stim->row[i].id == id &&
		    !nth--)
			return &stim->row[i];
	return NULL;
}

/* What starts the trains of what is loaded: a part of the stimulator, or a device. */
static const struct oni_stim_row *starter(const struct oni_stim *stim)
{
	const struct oni_stim_loaded *l = stim->loaded;

	return oni_stim_row(stim, l->hub, l->program.kind == ONI_STIM_HS64 ?
			    ONI_ID_HS64_ESTIM : ONI_ID_RHS2116_TRIGGER, 0);
}

/* --- off -------------------------------------------------------------------- */

/**
 * oni_stim_off - end what is under way and write the safe state
 * @dev: the controller, stim->lock held
 * @link: its link
 * @hub: of the headstage, 0: all
 *
 * What ends currents comes first, for every device; then the rest. A device that
 * does not answer ends nothing but what concerns itself.
 *
 * Return: 0 if everything was acknowledged and what counts reads back so, or the
 * first error.
 */
int oni_stim_off(struct oni_dev *dev, struct oni_link *link, u32 hub)
{
	const struct oni_stim *stim = &dev->stim;
	const struct oni_safe_write *sw;
	struct oni_device device;
	int ret, err = 0;
	size_t k, n;
	u32 i;

	lockdep_assert_held(&stim->lock);
	sw = oni_guard_safe_writes(&n);
	for (k = 0; k < n; k++)
		for (i = 0; i < stim->rows; i++) {
			if (!sw[k].stops || stim->row[i].id != sw[k].id ||
			    (hub && stim->row[i].addr >> 8 != hub))
				continue;
			ret = oni_safe_reg(dev, link, stim->row[i].addr,
					   sw[k].reg, &sw[k]);
			if (ret == -ENODEV)
				return ret;
			err = err ?: ret;
		}
	/* Who is silent now would be so for every further write. */
	if (err == -ETIMEDOUT)
		return err;
	for (i = 0; i < stim->rows; i++) {
		if (hub && stim->row[i].addr >> 8 != hub)
			continue;
		device = (struct oni_device){
			.addr = stim->row[i].addr,
			.id = stim->row[i].id,
		};
		ret = oni_safe_device(dev, link, &device);
		if (ret == -ENODEV)
			return ret;
		err = err ?: ret;
	}
	return err;
}

/* --- programs ------------------------------------------------------------------ */

static bool read_back(struct oni_stim_verdict *v, u32 reg, u32 written, u32 seen)
{
	*v = (struct oni_stim_verdict){
		.code = ONI_STIM_READ_BACK,
		.contact = ONI_STIM_NO_CONTACT,
		.asked = written,
		.allowed = seen,
		.source = ONI_STIM_BY_HARDWARE,
		.where = reg,
	};
	return false;
}

static int write_checked(struct oni_dev *dev, struct oni_link *link, u32 addr,
			 u32 reg, u32 val, struct oni_stim_verdict *v)
{
	u32 seen = ~val;
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	ret = oni_reg_access(dev, link, addr, reg, true, &val);
	if (!ret)
		ret = oni_reg_access(dev, link, addr, reg, false, &seen);
	if (!ret && seen != val) {
		read_back(v, reg, val, seen);
		ret = -EPERM;
	}
	return ret;
}

/* What holds its value is let alone: most amplitudes of most programs are 0. */
static int settle(struct oni_dev *dev, struct oni_link *link, u32 addr, u32 reg,
		  u32 val, struct oni_stim_verdict *v)
{
	u32 seen = ~val;
	int ret;

	if (fatal_signal_pending(current))
		return -EINTR;
	ret = oni_reg_access(dev, link, addr, reg, false, &seen);
	if (ret || seen == val)
		return ret;
	return write_checked(dev, link, addr, reg, val, v);
}

static int write_amplitudes(struct oni_dev *dev, struct oni_link *link, u32 addr,
			    const struct oni_stim_chip *chip,
			    struct oni_stim_verdict *v)
{
	int ret = 0;
	u32 c;

	for (c = 0; c < ONI_STIM_CHANNELS && !ret; c++) {
		ret = settle(dev, link, addr, RHS_NEG0 + c, chip->negative[c],
			     v);
		if (!ret)
			ret = settle(dev, link, addr, RHS_POS0 + c,
				     chip->positive[c], v);
	}
	return ret;
}

static int write_rows(struct oni_dev *dev, struct oni_link *link, u32 addr,
		      const struct oni_stim_delta *row, u32 n)
{
	u32 i, where, polen;
	int ret = 0;

	for (i = 0; i < n && !ret; i++) {
		if (fatal_signal_pending(current))
			return -EINTR;
		where = i << RHS_IDX_SHIFT | row[i].time;
		polen = row[i].polen;
		ret = oni_reg_access(dev, link, addr, RHS_DELTAIDXTIME, true,
				     &where);
		if (!ret)
			ret = oni_reg_access(dev, link, addr, RHS_DELTAPOLEN,
					     true, &polen);
	}
	return ret;
}

/* A chip that was reset since has another step than the one that was found. */
static int step_still(struct oni_dev *dev, struct oni_link *link, u32 addr,
		      u32 step_na, struct oni_stim_verdict *v)
{
	u32 seen = 0;
	int ret;

	ret = oni_reg_access(dev, link, addr, RHS_STEPSZ, false, &seen);
	if (ret || seen == step_reg(step_na))
		return ret;
	read_back(v, RHS_STEPSZ, step_reg(step_na), seen);
	return -EPERM;
}

/* The table cannot be read back: the sequencer says whether it takes it. */
static int write_chip(struct oni_dev *dev, struct oni_link *link, u32 addr,
		      const struct oni_stim_chip *chip,
		      const struct oni_stim_delta *row,
		      struct oni_stim_verdict *v)
{
	u32 bad = 0;
	int ret;

	ret = write_checked(dev, link, addr, RHS_NUMDELTAS, 0, v);
	if (!ret && chip->rows)
		ret = step_still(dev, link, addr, chip->step_na, v);
	if (!ret)
		ret = write_amplitudes(dev, link, addr, chip, v);
	if (!ret)
		ret = write_rows(dev, link, addr, row, chip->rows);
	if (!ret)
		ret = write_checked(dev, link, addr, RHS_NUMDELTAS, chip->rows,
				    v);
	if (!ret)
		ret = oni_reg_access(dev, link, addr, RHS_SEQERROR, false, &bad);
	if (!ret && bad) {
		read_back(v, RHS_SEQERROR, 0, bad);
		ret = -EPERM;
	}
	return ret;
}

static int write_rhs(struct oni_dev *dev, struct oni_link *link,
		     const struct oni_stim_loaded *l, struct oni_stim_verdict *v)
{
	const struct oni_stim_delta *row = l->rows;
	const struct oni_stim_row *to;
	u32 n, source;
	int ret;

	to = starter(&dev->stim);
	if (!to)
		return -ENODEV;
	ret = write_checked(dev, link, to->addr, TRIG_ARMED, 0, v);
	source = l->program.sources == ONI_STIM_FROM_SYNC;
	if (!ret)
		ret = write_checked(dev, link, to->addr, TRIG_SOURCE, source, v);
	for (n = 0; n < ONI_STIM_CHIPS && !ret; n++) {
		to = oni_stim_row(&dev->stim, l->hub, ONI_ID_RHS2116, n);
		if (!to)
			continue;
		ret = write_chip(dev, link, to->addr, &l->program.chip[n], row,
				 v);
		row += l->program.chip[n].rows;
	}
	return ret;
}

#define HS64_BIPHASIC	1U
#define HS64_CURRENT1	2U
#define HS64_CURRENT2	3U
#define HS64_REST	15U
#define HS64_REGS	14U

struct hs64_reg {
	u32 reg;
	u32 val;
};

/* Off, and then what the train is made of; in the order in which it is written. */
static void hs64_regs(const struct oni_stim_hs64 *h, struct hs64_reg to[HS64_REGS])
{
	const u32 val[] = {
		h->biphasic, h->current1, h->current2, h->duration1,
		h->interphase, h->duration2, h->interpulse, h->pulses,
		h->interburst, h->bursts, h->delay,
	};
	u32 i;

	to[0] = (struct hs64_reg){ HS64_ENABLE, 0 };
	to[1] = (struct hs64_reg){ HS64_POWERON, 0 };
	for (i = 0; i < ARRAY_SIZE(val); i++)
		to[2 + i] = (struct hs64_reg){ HS64_BIPHASIC + i, val[i] };
	to[2 + i] = (struct hs64_reg){ HS64_REST, h->rest };
	BUILD_BUG_ON(ARRAY_SIZE(val) + 3 != HS64_REGS);
}

static int write_hs64(struct oni_dev *dev, struct oni_link *link,
		      const struct oni_stim_loaded *l,
		      struct oni_stim_verdict *v)
{
	struct hs64_reg want[HS64_REGS];
	const struct oni_stim_row *to;
	int ret = 0;
	u32 i;

	to = starter(&dev->stim);
	if (!to)
		return -ENODEV;
	hs64_regs(&l->program.hs64, want);
	for (i = 0; i < HS64_REGS && !ret; i++)
		ret = write_checked(dev, link, to->addr, want[i].reg,
				    want[i].val, v);
	return ret;
}

/**
 * oni_stim_write - put what is loaded into the hardware; nothing triggers it
 * @dev: the controller, stim->lock held
 * @link: its link
 * @v: out, if a register has not what was written
 *
 * Return: 0; -EPERM: @v says why; -EINTR; or what the link says. After an error
 * the hardware may hold a part of it.
 */
int oni_stim_write(struct oni_dev *dev, struct oni_link *link,
		   struct oni_stim_verdict *v)
{
	const struct oni_stim_loaded *l = dev->stim.loaded;

	lockdep_assert_held(&dev->stim.lock);
	if (l->program.kind == ONI_STIM_HS64)
		return write_hs64(dev, link, l, v);
	return write_rhs(dev, link, l, v);
}

/**
 * oni_stim_fits - are there the devices that a program needs, in the state that
 *	it was made for?
 * @stim: the interlock, lock held
 * @l: the program
 * @v: out, if not
 */
bool oni_stim_fits(struct oni_stim *stim, const struct oni_stim_loaded *l,
		   struct oni_stim_verdict *v)
{
	const struct oni_stim_program *p = &l->program;
	const struct oni_stim_row *row;
	u32 n;

	*v = (struct oni_stim_verdict){
		.code = ONI_STIM_NO_STIMULATOR,
		.contact = ONI_STIM_NO_CONTACT,
		.asked = l->hub,
		.source = ONI_STIM_BY_HARDWARE,
	};
	if (p->kind == ONI_STIM_HS64) {
		if (!oni_stim_row(stim, l->hub, ONI_ID_HS64_ESTIM, 0))
			return false;
		v->code = ONI_STIM_OK;
		v->asked = 0;
		v->source = 0;
		return true;
	}
	if (!oni_stim_row(stim, l->hub, ONI_ID_RHS2116_TRIGGER, 0))
		return false;
	for (n = 0; n < ONI_STIM_CHIPS; n++) {
		row = oni_stim_row(stim, l->hub, ONI_ID_RHS2116, n);
		if (!p->chip[n].rows)
			continue;
		if (!row)
			return false;
		if (row->step_na != p->chip[n].step_na) {
			v->code = ONI_STIM_STEP_SIZE;
			v->asked = p->chip[n].step_na;
			v->allowed = row->step_na;
			v->where = n << 16;
			return false;
		}
	}
	*v = (struct oni_stim_verdict){ .contact = ONI_STIM_NO_CONTACT };
	return true;
}

/* --- arm, fire ---------------------------------------------------------------------- */

static bool from_outside(const struct oni_stim_loaded *l)
{
	return l->program.sources & ~ONI_STIM_FROM_REGISTER;
}

/**
 * oni_stim_enable - make the hardware ready for triggers of the host
 * @dev: the controller, stim->lock held
 * @link: its link
 *
 * The supply of headstage-64 has to settle for some 10 ms, which is less than
 * ONI_STIM_ARM_DELAY_MS. Its trigger line can be driven by the host only. Of a
 * RHS2116 headstage there is nothing to do.
 */
int oni_stim_enable(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_row *row = starter(&dev->stim);
	u32 on = 1;
	int ret;

	if (row->id != ONI_ID_HS64_ESTIM)
		return 0;
	ret = oni_reg_access(dev, link, row->addr, HS64_POWERON, true, &on);
	return ret ?: oni_reg_access(dev, link, row->addr, HS64_ENABLE, true,
				     &on);
}

/**
 * oni_stim_open - let triggers from outside in, where the program allows them
 * @dev: the controller, stim->lock held, ARMED for ONI_STIM_ARM_DELAY_MS
 * @link: its link
 */
int oni_stim_open(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;
	const struct oni_stim_row *row;
	u32 on = 1;

	if (stim->open || stim->loaded->program.kind == ONI_STIM_HS64 ||
	    !from_outside(stim->loaded))
		return 0;
	row = starter(stim);
	stim->open = true;
	return oni_reg_access(dev, link, row->addr, TRIG_ARMED, true, &on);
}

/**
 * oni_stim_trigger - one train
 * @dev: the controller, stim->lock held
 * @link: its link
 *
 * Of a RHS2116 headstage: armed, triggered, disarmed, with no other access in
 * between; disarmed by a second try if that fails.
 */
int oni_stim_trigger(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_row *row = starter(&dev->stim);
	struct oni_reg_op op[3] = { 0 };
	u32 one = 1;
	int ret;

	if (row->id == ONI_ID_HS64_ESTIM)
		return oni_reg_access(dev, link, row->addr, HS64_TRIGGER, true,
				      &one);
	ret = oni_stim_open(dev, link);
	if (ret || dev->stim.open)
		return ret ?: oni_reg_access(dev, link, row->addr, TRIG_TRIGGER,
					     true, &one);
	op[0] = (struct oni_reg_op){ row->addr, TRIG_ARMED, 1, ONI_REG_OP_WRITE };
	op[1] = (struct oni_reg_op){ row->addr, TRIG_TRIGGER, 1,
				     ONI_REG_OP_WRITE };
	op[2] = (struct oni_reg_op){ row->addr, TRIG_ARMED, 0, ONI_REG_OP_WRITE };
	ret = oni_reg_sequence(dev, link, op, ARRAY_SIZE(op));
	if (ret)
		oni_reg_sequence(dev, link, &op[2], 1);
	return ret;
}

/**
 * oni_stim_after_train - a train has ended
 * @dev: the controller, stim->lock held
 * @link: its link
 *
 * By one reading the trigger of headstage-64 delivers until it is 0 again.
 */
int oni_stim_after_train(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_row *row = starter(&dev->stim);
	u32 zero = 0;

	if (row->id != ONI_ID_HS64_ESTIM)
		return 0;
	return oni_reg_access(dev, link, row->addr, HS64_TRIGGER, true, &zero);
}

static u32 reg_holds(struct oni_dev *dev, struct oni_link *link,
		     const struct oni_stim_row *row, u32 reg, u32 want)
{
	u32 val = 0;

	if (oni_reg_access(dev, link, row->addr, reg, false, &val))
		return ONI_STIM_BECAUSE_LINK;
	return val == want ? 0 : ONI_STIM_BECAUSE_HUB_RESET;
}

static u32 chip_holds(struct oni_dev *dev, struct oni_link *link, u32 n)
{
	const struct oni_stim_loaded *l = dev->stim.loaded;
	const struct oni_stim_row *row;
	u32 because, bad = 0;

	row = oni_stim_row(&dev->stim, l->hub, ONI_ID_RHS2116, n);
	because = reg_holds(dev, link, row, RHS_NUMDELTAS,
			    l->program.chip[n].rows);
	if (because)
		return because;
	if (oni_reg_access(dev, link, row->addr, RHS_SEQERROR, false, &bad))
		return ONI_STIM_BECAUSE_LINK;
	return bad ? ONI_STIM_BECAUSE_SEQUENCER : 0;
}

/* Is this the first row of its hub? Rows of a hub follow each other. */
static bool first_of_hub(const struct oni_stim_row *row, u32 i)
{
	return !i || row[i - 1].addr >> 8 != row[i].addr >> 8;
}

/* The port controller of a hub has the number of the hub as address. */
static bool hub_has_port(struct oni_dev *dev, u32 hub)
{
	struct oni_device port;

	return !oni_find_device(dev, hub, &port) && port.id == ONI_ID_PORT;
}

/* What the port says of the link to its headstage. */
static int hub_link(struct oni_dev *dev, struct oni_link *link, u32 hub,
		    bool *linked)
{
	u32 val = 0;
	int ret;

	*linked = true;
	if (!hub_has_port(dev, hub))
		return 0;	/* no link that could be lost */
	ret = oni_reg_access(dev, link, hub, ONI_PORT_LINKSTATE, false, &val);
	*linked = (val & (ONI_LINK_LOCK | ONI_LINK_PASS)) ==
		  (ONI_LINK_LOCK | ONI_LINK_PASS);
	return ret;
}

static bool hub_linked(struct oni_dev *dev, struct oni_link *link, u32 hub)
{
	bool linked;

	return !hub_link(dev, link, hub, &linked) && linked;
}

/**
 * oni_stim_linked - can every stimulator be reached?
 * @dev: the controller, stim->lock held
 * @link: its link
 *
 * Asks the ports, which answer without a headstage.
 */
bool oni_stim_linked(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim *stim = &dev->stim;
	u32 i;

	lockdep_assert_held(&stim->lock);
	for (i = 0; i < stim->rows; i++)
		if (first_of_hub(stim->row, i) &&
		    !hub_linked(dev, link, stim->row[i].addr >> 8))
			return false;
	return true;
}

static void hub_unpower(struct oni_dev *dev, struct oni_link *link, u32 hub)
{
	bool linked;
	u32 val = 0;

	/* A controller that is silent would be so for every further access. */
	if (hub_link(dev, link, hub, &linked) || linked)
		return;
	/* Once is enough, and what has no supply needs none taken away. */
	if (!oni_reg_access(dev, link, hub, ONI_PORT_VOLTAGE, false, &val) &&
	    !val)
		return;
	val = 0;
	if (oni_reg_access(dev, link, hub, ONI_PORT_VOLTAGE, true, &val))
		return;
	oni_stim_event(dev, ONI_STIM_EV_UNPOWER, hub);
	dev_warn_ratelimited(dev->dev.parent,
			     "port 0x%03x: its headstage could not be stopped and was switched off\n",
			     hub);
}

/**
 * oni_stim_unpower - take the supply from headstages that no word reaches
 * @dev: the controller, stim->lock held
 * @link: its link
 * @hub: of the headstage, 0: all
 *
 * For those that did not confirm a stop. Their ports answer without them, and without
 * a supply nothing goes on. The phase that is under way ends early, so that up to the
 * charge of one phase, which is below its ceiling, is not balanced; the alternative is
 * a headstage of which nobody knows what it does. Only where the port says that the
 * link is lost: others can be tried again.
 */
void oni_stim_unpower(struct oni_dev *dev, struct oni_link *link, u32 hub)
{
	const struct oni_stim *stim = &dev->stim;
	u32 i;

	lockdep_assert_held(&stim->lock);
	for (i = 0; i < stim->rows; i++) {
		u32 mine = stim->row[i].addr >> 8;

		if (first_of_hub(stim->row, i) && (!hub || mine == hub))
			hub_unpower(dev, link, mine);
	}
}

/*
 * One register that is not what a reset leaves: CURRENT2 is 0 then, and CURRENT1
 * about no current, which does not balance a CURRENT2 of 0.
 */
static u32 hs64_mark_holds(struct oni_dev *dev, struct oni_link *link,
			   const struct oni_stim_row *row)
{
	const struct oni_stim_hs64 *h = &dev->stim.loaded->program.hs64;

	if (h->current2)
		return reg_holds(dev, link, row, HS64_CURRENT2, h->current2);
	return reg_holds(dev, link, row, HS64_CURRENT1, h->current1);
}

static u32 hs64_holds(struct oni_dev *dev, struct oni_link *link,
		      const struct oni_stim_row *row)
{
	struct hs64_reg want[HS64_REGS];
	u32 i, because = 0;

	hs64_regs(&dev->stim.loaded->program.hs64, want);
	for (i = 0; i < HS64_REGS && !because; i++)
		because = reg_holds(dev, link, row, want[i].reg, want[i].val);
	return because;
}

static u32 chips_hold(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_loaded *l = dev->stim.loaded;
	u32 n, because = 0;

	for (n = 0; n < ONI_STIM_CHIPS && !because; n++)
		if (l->program.chip[n].rows)
			because = chip_holds(dev, link, n);
	return because;
}

/**
 * oni_stim_held - is what was loaded a while ago still there, and off?
 * @dev: the controller, stim->lock held, something is in the hardware
 * @link: its link
 *
 * Before it is switched on. Of headstage-64 every register: one that was reset
 * meanwhile would deliver its power-on train.
 *
 * Return: ONI_STIM_BECAUSE_*, or 0.
 */
u32 oni_stim_held(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_row *row = starter(&dev->stim);
	u32 because;

	lockdep_assert_held(&dev->stim.lock);
	if (!hub_linked(dev, link, dev->stim.loaded->hub))
		return ONI_STIM_BECAUSE_LINK;
	if (row->id == ONI_ID_HS64_ESTIM)
		return hs64_holds(dev, link, row);
	because = reg_holds(dev, link, row, TRIG_ARMED, 0);
	return because ?: chips_hold(dev, link);
}

/**
 * oni_stim_poll_hub - does the headstage still hold what was loaded?
 * @dev: the controller, stim->lock held, something is in the hardware
 * @link: its link
 *
 * A hub that was reset has its power-on state: the trigger armed, no table. The
 * port is asked first, since it answers without a headstage.
 *
 * Return: ONI_STIM_BECAUSE_*, or 0.
 */
u32 oni_stim_poll_hub(struct oni_dev *dev, struct oni_link *link)
{
	const struct oni_stim_row *row = starter(&dev->stim);
	u32 because;

	if (!hub_linked(dev, link, dev->stim.loaded->hub))
		return ONI_STIM_BECAUSE_LINK;
	if (row->id == ONI_ID_HS64_ESTIM) {
		because = reg_holds(dev, link, row, HS64_POWERON, 1);
		return because ?: hs64_mark_holds(dev, link, row);
	}
	because = reg_holds(dev, link, row, TRIG_ARMED, dev->stim.open);
	/* Armed from outside looks like a reset: the tables tell them apart. */
	return because ?: chips_hold(dev, link);
}

/* --- steps ---------------------------------------------------------------------------- */

/* What the chip says it has, just after a reset: it is in force by every reading. */
static u32 step_in_force(struct oni_dev *dev, struct oni_link *link, u32 addr)
{
	u32 val = 0;
	size_t i;

	if (oni_reg_access(dev, link, addr, RHS_STEPSZ, false, &val))
		return 0;
	for (i = 0; i < ARRAY_SIZE(steps); i++)
		if (steps[i].reg == val)
			return steps[i].na;
	return 0;
}

/**
 * oni_stim_find - look for stimulators in a new device table
 * @dev: the controller, dev->lock and stim->lock held
 * @link: its link
 */
void oni_stim_find(struct oni_dev *dev, struct oni_link *link)
{
	struct oni_stim *stim = &dev->stim;
	u32 i;

	lockdep_assert_held(&dev->lock);
	lockdep_assert_held(&stim->lock);
	stim->rows = 0;
	for (i = 0; i < dev->rows && stim->rows < ONI_STIM_ROWS_MAX; i++) {
		const struct oni_device *row = &dev->table[i];

		if (row->id != ONI_ID_RHS2116 && row->id != ONI_ID_HS64_ESTIM &&
		    row->id != ONI_ID_HS64_OSTIM &&
		    row->id != ONI_ID_RHS2116_TRIGGER)
			continue;
		stim->row[stim->rows++] = (struct oni_stim_row){
			.addr = row->addr,
			.id = row->id,
		};
	}
	for (i = 0; i < stim->rows; i++)
		if (stim->row[i].id == ONI_ID_RHS2116)
			stim->row[i].step_na = step_in_force(dev, link,
							     stim->row[i].addr);
}

/**
 * oni_stim_set_step - another amplitude step, from the next reset on
 * @dev: the controller, stim->lock held, nothing loaded
 * @link: its link
 * @hub: of the headstage
 * @step_na: one that is known
 *
 * Return: 0, -ENOENT: no such chips there, or what the link says.
 */
int oni_stim_set_step(struct oni_dev *dev, struct oni_link *link, u32 hub,
		      u32 step_na)
{
	struct oni_stim *stim = &dev->stim;
	int ret = -ENOENT;
	u32 i;

	for (i = 0; i < stim->rows; i++) {
		u32 reg = step_reg(step_na);

		if (stim->row[i].id != ONI_ID_RHS2116 ||
		    stim->row[i].addr >> 8 != hub)
			continue;
		/* The one before is in force, or this one. */
		if (stim->row[i].step_na != step_na)
			stim->row[i].step_na = 0;
		ret = oni_reg_access(dev, link, stim->row[i].addr, RHS_STEPSZ,
				     true, &reg);
		if (ret)
			break;
	}
	return ret;
}
