# SPDX-License-Identifier: LGPL-2.1-or-later
# A thin door to meson and the scripts.
BUILD ?= build
prefix ?= /usr

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	meson setup --prefix=$(prefix) $(BUILD)

deps: # what tests/packages lists
	tests/deps

demo: deps
	tests/demo

check: deps
	tests/check

fuzz: deps # an hour of it; make check has a minute
	FUZZ_SECONDS=3600 tests/check fuzz

bench: deps # ROW=name measures one row
	tests/bench/run $(ROW)

install: all # DESTDIR as usual
	meson install --no-rebuild -C $(BUILD)

.PHONY: all deps demo check fuzz bench install
