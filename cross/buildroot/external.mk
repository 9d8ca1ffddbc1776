include $(sort $(wildcard $(BR2_EXTERNAL_STOPLINE_PATH)/package/*/*.mk))
