################################################################################
#
# stopline
#
################################################################################

STOPLINE_VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' $(BR2_EXTERNAL_STOPLINE_PATH)/../../Cargo.toml | head -1)
STOPLINE_SITE = $(call qstrip,$(BR2_PACKAGE_STOPLINE_PROGRAMS))
STOPLINE_SITE_METHOD = local
STOPLINE_LICENSE = Apache-2.0 or MIT
STOPLINE_LICENSE_FILES = LICENCES.txt
# Built already: neither compiler nor C library of this tree is asked for.
STOPLINE_ADD_TOOLCHAIN_DEPENDENCY = NO
STOPLINE_ROOT = $(BR2_EXTERNAL_STOPLINE_PATH)/../..

define STOPLINE_BUILD_CMDS
	cd $(@D) && sha256sum --check --strict --ignore-missing SHA256SUMS
endef

define STOPLINE_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 0755 $(@D)/stopline $(TARGET_DIR)/usr/bin/stopline
	$(INSTALL) -D -m 0755 $(@D)/stopline-agent $(TARGET_DIR)/usr/bin/stopline-agent
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/stopline.sysusers $(TARGET_DIR)/usr/lib/sysusers.d/stopline.conf
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/stopline.tmpfiles $(TARGET_DIR)/usr/lib/tmpfiles.d/stopline.conf
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/60-stopline.rules $(TARGET_DIR)/usr/lib/udev/rules.d/60-stopline.rules
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/60-stopline-watchdog.conf $(TARGET_DIR)/usr/lib/systemd/system.conf.d/60-stopline-watchdog.conf
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/80-stopline-can.link $(TARGET_DIR)/usr/lib/systemd/network/80-stopline-can.link
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/runtime/stopline.example.toml $(TARGET_DIR)/etc/stopline/stopline.toml
	$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/ota/agent/agent.example.toml $(TARGET_DIR)/etc/stopline/agent.toml
	mkdir -p $(TARGET_DIR)/usr/share/stopline/factory $(TARGET_DIR)/etc/stopline/trust
	$(if $(call qstrip,$(BR2_PACKAGE_STOPLINE_FACTORY)),cp -dR $(call qstrip,$(BR2_PACKAGE_STOPLINE_FACTORY))/. $(TARGET_DIR)/usr/share/stopline/factory/)
	$(if $(call qstrip,$(BR2_PACKAGE_STOPLINE_TRUST)),$(INSTALL) -m 0644 $(call qstrip,$(BR2_PACKAGE_STOPLINE_TRUST))/*.json $(TARGET_DIR)/etc/stopline/trust/)
endef

define STOPLINE_INSTALL_INIT_SYSTEMD
	$(foreach unit,stopline.service stopline-view.service stopline-agent.service stopline-agent-nightly.service stopline-agent-nightly.timer,\
		$(INSTALL) -D -m 0644 $(STOPLINE_ROOT)/systemd/$(unit) $(TARGET_DIR)/usr/lib/systemd/system/$(unit)$(sep))
endef

$(eval $(generic-package))
