import { mount } from 'svelte';
import App from './App.svelte';
import { takeToken } from './router';
import './theme.css';
import { applyTheme } from './theme';

const token = takeToken();
applyTheme();
mount(App, { target: document.getElementById('app')!, props: { token } });
