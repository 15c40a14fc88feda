"""Keys of LiteLLM's configuration file that mean nothing here: named in a warning, not taken for
typing errors.

Names only, by section, from LiteLLM's reference of its settings.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


TOP = _names(
    "environment_variables callback_settings mcp_servers guardrails prompts search_tools "
    "vector_store_registry credential_list assistant_settings files_settings finetune_settings "
    "include policies policy_attachments mcp_aliases worker_registry"
)

ENTRY = _names("model_info litellm_params params tpm rpm")

PARAMS = _names(
    "additional_drop_params allowed_openai_params api_type auto_router_config "
    "auto_router_default_model azure_scope azure_username azure_password budget_duration "
    "cache_control_injection_points client_id client_secret configurable_clientside_auth_params "
    "cooldown_time custom_llm_provider default_api_key_rpm_limit default_api_key_tpm_limit "
    "drop_params dynamic_tags frequency_penalty guardrails input_cost_per_second "
    "input_cost_per_character litellm_credential_name litellm_trace_id logit_bias max_budget "
    "max_completion_tokens max_file_size_mb max_parallel_requests max_tokens "
    "merge_reasoning_content_in_choices metadata mock_response model_info n output_cost_per_second "
    "presence_penalty prompt_id prompt_variables reasoning_effort region_name response_format "
    "s3_bucket_name seed ssl_verify stop tags temperature tenant_id thinking top_k top_p "
    "use_in_pass_through use_litellm_proxy user vector_store_ids watsonx_region_name"
)

MODEL_INFO = _names(
    "access_groups created_at created_by db_model direct_access health_check_model "
    "health_check_params health_check_timeout id_token input_cost_per_audio_token "
    "input_cost_per_character input_cost_per_image input_cost_per_second key litellm_provider "
    "max_output_tokens max_tokens mode model_name output_cost_per_audio_token "
    "output_cost_per_second output_vector_size providers "
    "supported_environments supported_openai_params supports_assistant_prefill "
    "supports_audio_input supports_audio_output supports_computer_use supports_function_calling "
    "supports_native_streaming supports_parallel_function_calling supports_pdf_input "
    "supports_prompt_caching supports_reasoning supports_response_schema "
    "supports_system_messages supports_tool_choice supports_vision supports_web_search team_id "
    "team_public_model_name tier updated_at updated_by version disable_background_health_check"
)

ROUTER = _names(
    "alerting_config allowed_fails_policy assistants_config cache_kwargs cache_responses "
    "caching_groups client_ttl debug_level default_litellm_params default_max_parallel_requests "
    "default_priority enable_pre_call_check enable_tag_filtering guardrail_list "
    "ignore_invalid_deployments model_group_retry_policy polling_interval "
    "provider_budget_config retry_policy router_general_settings search_tools set_verbose "
    "tag_filtering_match_any"
)

LITELLM = _names(
    "_langfuse_default_tags add_function_to_prompt add_user_information_to_llm_headers "
    "alerting_threshold allowed_openai_params anthropic_key anthropic_messages_url "
    "api_key audit_log_callbacks azure_key budget_duration cache cache_params "
    "callback_settings cohere_key credential_list custom_prometheus_metadata_labels "
    "custom_prometheus_tags default_in_memory_ttl default_internal_user_params "
    "default_max_internal_user_budget default_redis_batch_cache_expiry default_redis_ttl "
    "default_team_params default_team_settings disable_add_transform_inline_image_block "
    "disable_copilot_system_to_assistant disable_end_user_cost_tracking "
    "disable_end_user_cost_tracking_prometheus_only disable_hf_tokenizer_download "
    "disable_token_counter enable_azure_ad_token_refresh enable_json_schema_validation "
    "enable_key_alias_format_validation enable_preview_features force_ipv4 "
    "forward_traceparent_to_llm_provider guardrail_name_config_map guardrails "
    "internal_user_budget_duration json_logs key_generation_settings langfuse_default_tags "
    "lowest_latency_buffer max_budget max_end_user_budget max_internal_user_budget "
    "max_ui_session_budget max_user_budget mcp_aliases model_cost_map_url "
    "model_group_retry_policy modify_params num_retries_per_request openai_key post_call_rules "
    "pre_call_rules priority_reservation priority_reservation_settings "
    "prometheus_initialize_budget_metrics prometheus_metrics_config public_model_groups "
    "public_model_groups_links "
    "redact_messages_in_exceptions redact_user_api_key_info require_auth_for_metrics_endpoint "
    "return_response_headers s3_callback_params secret_manager service_callback "
    "service_callbacks set_verbose ssl_certificate ssl_security_level ssl_verify store_audit_logs "
    "suppress_debug_info telemetry turn_off_message_logging upperbound_key_generate_params "
    "use_chat_completions_url_for_anthropic_messages"
)

GENERAL = _names(
    "admin_only_routes alert_to_webhook_url alert_types alerting alerting_args "
    "alerting_threshold allow_client_side_credentials allow_requests_on_db_unavailable "
    "allow_user_auth allowed_ips allowed_routes always_include_stream_usage "
    "background_health_checks coding_agent_telemetry completion_model control_plane_url "
    "custom_auth custom_auth_run_common_checks custom_key_generate custom_key_update custom_sso "
    "custom_ui_sso_sign_in_handler database_args database_connection_pool_limit "
    "database_connection_timeout database_connection_pool_timeout database_type "
    "default_team_disabled disable_adding_master_key_hash_to_db disable_error_logs "
    "disable_master_key_return disable_prisma_schema_update disable_reset_budget "
    "disable_responses_id_security disable_retry_on_max_parallel_request_limit_error "
    "disable_spend_logs disable_spend_updates embedding_model enable_health_check_routing "
    "enable_jwt_auth enable_mcp_registry enable_oauth2_auth enable_oauth2_proxy_auth "
    "enforce_user_param enforced_file_expires_after enforced_batch_output_expires_after "
    "enforced_params forward_client_headers_to_llm_api forward_openai_org_id "
    "global_max_parallel_requests health_check_concurrency health_check_details "
    "health_check_interval health_check_staleness_threshold image_generation_model "
    "infer_model_from_keys key_management_settings key_management_system litellm_jwtauth "
    "litellm_key_header_name litellm_license maximum_spend_logs_retention_interval "
    "maximum_spend_logs_retention_period max_parallel_requests max_request_size_mb "
    "max_response_size_mb mcp_internal_ip_ranges mcp_trusted_proxy_ranges moderation_model "
    "oauth2_config_mappings otel pass_through_endpoints proxy_batch_polling_interval "
    "proxy_batch_write_at proxy_budget_rescheduler_max_time proxy_budget_rescheduler_min_time "
    "public_routes reject_clientside_metadata_tags service_account_settings "
    "spend_report_frequency store_model_in_db supported_db_objects ui_access_mode ui_logo_path "
    "use_azure_key_vault use_client_credentials_pass_through_routes use_google_kms "
    "use_redis_transaction_buffer use_shared_health_check use_x_forwarded_for "
    "user_api_key_cache_ttl user_header_name user_header_mappings user_mcp_management_mode"
)
